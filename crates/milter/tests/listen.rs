//! Sockets as an administrator finds them: stale, taken, of the wrong kind; and with the right mode.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first thing that is not as it should be")]

use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;

use milter_proto::listen::{BindError, ListenAddress, Listener, SocketAccess};

async fn bind(path: &Path, access: SocketAccess) -> Result<Listener, BindError> {
    ListenAddress::Unix(path.to_owned()).bind(access).await
}

fn names_in(folder: &Path) -> Vec<String> {
    let names = std::fs::read_dir(folder).unwrap();
    names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[tokio::test]
async fn a_socket_gets_its_mode_and_leaves_nothing_else_behind() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.sock");
    for mode in [0o660, 0o600, 0o666] {
        let own_group = std::fs::metadata(folder.path()).unwrap().gid();
        let listener = bind(&path, SocketAccess { mode, owner: None, group: Some(own_group) }).await.unwrap();
        let found = std::fs::metadata(&path).unwrap();
        assert_eq!(found.permissions().mode() & 0o777, mode);
        assert_eq!(names_in(folder.path()), ["m.sock"]);
        drop(listener);
        assert_eq!(names_in(folder.path()), [""; 0], "a clean stop removes the socket");
    }
}

#[tokio::test]
async fn a_stale_socket_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let before = std::fs::metadata(&path).unwrap().ino();
    let _listener = bind(&path, SocketAccess::default()).await.unwrap();
    assert_ne!(std::fs::metadata(&path).unwrap().ino(), before);
    assert!(std::os::unix::net::UnixStream::connect(&path).is_ok());
}

#[tokio::test]
async fn a_socket_that_answers_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.sock");
    let _other = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let error = bind(&path, SocketAccess::default()).await.unwrap_err();
    assert!(matches!(error, BindError::InUse(_)), "{error}");
    assert_eq!(names_in(folder.path()), ["m.sock"]);
}

#[tokio::test]
async fn a_file_is_never_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("precious");
    std::fs::write(&path, "content").unwrap();
    let error = bind(&path, SocketAccess::default()).await.unwrap_err();
    assert!(matches!(error, BindError::NotASocket(_)), "{error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "content");
}

#[tokio::test]
async fn the_socket_of_a_successor_is_not_removed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.sock");
    let first = bind(&path, SocketAccess::default()).await.unwrap();
    std::fs::remove_file(&path).unwrap();
    let _second = bind(&path, SocketAccess::default()).await.unwrap();
    drop(first);
    assert!(std::fs::metadata(&path).unwrap().file_type().is_socket());
}

#[tokio::test]
async fn a_missing_folder_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let error = bind(&folder.path().join("none/m.sock"), SocketAccess::default()).await.unwrap_err();
    assert!(error.to_string().contains("none/m.sock"), "{error}");
}

#[tokio::test]
async fn tcp_takes_names_and_both_families() {
    for (written, v6) in
        [("inet:localhost:0", false), ("inet:127.0.0.1:0", false), ("inet:0@127.0.0.1", false)]
    {
        let address: ListenAddress = written.parse().unwrap();
        let listener = address.bind(SocketAccess::default()).await.unwrap();
        let bound = listener.tcp_address().unwrap();
        assert_ne!(bound.port(), 0);
        assert_eq!(bound.is_ipv6(), v6, "{written}");
    }
    let error = "inet6:127.0.0.1:0".parse::<ListenAddress>().unwrap().bind(SocketAccess::default()).await;
    assert!(matches!(error, Err(BindError::NoAddress(_))));
}
