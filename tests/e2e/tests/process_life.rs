//! The gate as a process: its socket, the user it becomes, what the service manager hands over and hears, and
//! what it shows to whoever watches it.

#![allow(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use mailwarden_e2e::{Gate, Installation, SOON, Scrape, World, letter, mailwarden_milter, milter_program};
use mailwarden_lab::ports::Port;
use mailwarden_lab::wait::wait_for;

const NEGOTIATION: [u8; 17] = [0, 0, 0, 13, b'O', 0, 0, 0, 6, 0, 0, 1, 0xff, 0, 0x1f, 0xff, 0xff];

fn gate_command(config: &str) -> Command {
    let mut command = Command::new(milter_program().unwrap());
    command.args(["--config", config]).env_remove("NOTIFY_SOCKET");
    command
}

/// Whether an MTA would be answered there.
fn negotiates(mut stream: UnixStream) -> bool {
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.write_all(&NEGOTIATION).unwrap();
    let mut answer = [0; 5];
    stream.read_exact(&mut answer).is_ok() && answer[4] == b'O'
}

/// The numbers after a name in /proc/PID/status, of every thread.
fn status_of(gate: &Gate, name: &str) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{}/task", gate.pid())).unwrap();
    let read = |task: fs::DirEntry| fs::read_to_string(task.path().join("status")).unwrap();
    let value = |status: String| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
        line[name.len()..].split_whitespace().collect::<Vec<_>>().join(" ")
    };
    tasks.map(|task| value(read(task.unwrap()))).collect()
}

fn number_of(file: &str, name: &str) -> u32 {
    let text = fs::read_to_string(file).unwrap();
    let line = text.lines().find(|line| line.starts_with(&format!("{name}:"))).unwrap().to_owned();
    line.split(':').nth(2).unwrap().parse().unwrap()
}

/// A directory that other users may pass, for a gate that is no longer root.
fn open_directory() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    directory
}

#[test]
fn a_start_as_root_opens_the_socket_and_then_becomes_the_user() {
    let directory = open_directory();
    let (nobody, mail) = (number_of("/etc/passwd", "nobody"), number_of("/etc/group", "mail"));
    // Only root may make a socket here, and only nobody may write the ledger.
    let sockets = directory.path().join("run");
    fs::create_dir(&sockets).unwrap();
    let socket = sockets.join("gate.sock");
    let gate_settings = "socket_owner = \"daemon\"\nsocket_group = \"mail\"\nuser = \"nobody\"\n";
    let home = directory.path().join("home");
    let installation =
        Installation::create(&home, &format!("unix:{}", socket.display()), gate_settings, "").unwrap();
    let config = fs::read_to_string(installation.config()).unwrap().replace("\"0666\"", "\"0660\"");
    installation.write("mailwarden.toml", config).unwrap();
    chown(&home, Some(nobody), None).unwrap();

    let gate =
        Gate::start_alone(&mut gate_command(&installation.config()), &directory.path().join("log")).unwrap();
    let made = fs::metadata(&socket).unwrap();
    assert_eq!((made.permissions().mode() & 0o777, made.gid()), (0o660, mail));
    assert_eq!(made.uid(), number_of("/etc/passwd", "daemon"));
    let ids = format!("{nobody} {nobody} {nobody} {nobody}");
    assert!(status_of(&gate, "Uid:").iter().all(|found| *found == ids), "{:?}", status_of(&gate, "Uid:"));
    assert!(status_of(&gate, "CapEff:").iter().all(|set| set.trim_start_matches('0').is_empty()));
    assert!(status_of(&gate, "Groups:").iter().all(|groups| groups.is_empty() || !groups.contains('0')));
    assert_eq!(fs::metadata(home.join("ledger.db")).unwrap().uid(), nobody);
    assert!(negotiates(UnixStream::connect(&socket).unwrap()));
    gate.stop().unwrap();
}

#[test]
fn the_kernel_confines_it_unless_told_not_to() {
    for (setting, expected) in [("", "confinement=\"landlock"), ("confine = false\n", "off by")] {
        let directory = open_directory();
        let listen = format!("unix:{}/gate.sock", directory.path().display());
        let installation = Installation::create(&directory.path().join("m"), &listen, setting, "").unwrap();
        let log = directory.path().join("log");
        let gate = Gate::start_alone(&mut gate_command(&installation.config()), &log).unwrap();
        let said = gate.log().replace('\u{1b}', "");
        assert!(said.contains(expected) || said.contains("this kernel has no landlock"), "{said}");
        let confined = status_of(&gate, "NoNewPrivs:").iter().all(|value| value == "1");
        assert!(confined == setting.is_empty() || said.contains("no landlock"), "{said}");
        gate.stop().unwrap();
        assert!(!directory.path().join("gate.sock").exists(), "a stop removes the socket");
    }
}

/// The shell moves the socket to descriptor 3 and names itself, as systemd does; then the gate replaces it.
fn handed_over(config: &str, listener: UnixListener) -> Command {
    let script = "exec 3<&0 0</dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" --config \"$1\"";
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script]).arg(milter_program().unwrap()).arg(config);
    command.stdin(Stdio::from(std::os::fd::OwnedFd::from(listener))).env_remove("NOTIFY_SOCKET");
    command
}

#[test]
fn a_socket_of_the_service_manager_is_served_and_left_in_place() {
    let directory = open_directory();
    let path = directory.path().join("handed.sock");
    let installation =
        Installation::create(directory.path(), "unix:/nonexistent/unused.sock", "", "").unwrap();
    let listener = UnixListener::bind(&path).unwrap();
    // Somebody connects before there is a gate: the connection waits in the backlog.
    let early = UnixStream::connect(&path).unwrap();
    let mut process = handed_over(&installation.config(), listener)
        .stderr(fs::File::create(directory.path().join("log")).unwrap())
        .spawn()
        .unwrap();
    assert!(negotiates(early), "{}", fs::read_to_string(directory.path().join("log")).unwrap());
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(process.id().cast_signed()).unwrap(),
        rustix::process::Signal::TERM,
    )
    .unwrap();
    assert_eq!(process.wait().unwrap().code(), Some(0));
    assert!(path.exists(), "the socket is the service manager's");
}

fn next_word(manager: &UnixDatagram) -> String {
    let mut buffer = [0; 1_024];
    let length = manager.recv(&mut buffer).unwrap();
    String::from_utf8_lossy(&buffer[..length]).into_owned()
}

#[test]
fn the_service_manager_hears_of_readiness_reloads_and_the_end() {
    let directory = open_directory();
    let manager = UnixDatagram::bind(directory.path().join("notify")).unwrap();
    manager.set_read_timeout(Some(SOON)).unwrap();
    let listen = format!("unix:{}/gate.sock", directory.path().display());
    let installation = Installation::create(&directory.path().join("m"), &listen, "", "").unwrap();
    let mut command = gate_command(&installation.config());
    command.env("NOTIFY_SOCKET", directory.path().join("notify"));
    let gate = Gate::start_alone(&mut command, &directory.path().join("log")).unwrap();
    let ready = next_word(&manager);
    assert!(ready.contains("READY=1") && ready.contains("STATUS=policy in force"), "{ready}");

    gate.hang_up();
    let reloading = next_word(&manager);
    assert!(reloading.contains("RELOADING=1") && reloading.contains("MONOTONIC_USEC="), "{reloading}");
    assert!(next_word(&manager).contains("READY=1"));

    installation.write_policy("nonsense").unwrap();
    gate.hang_up();
    assert!(next_word(&manager).contains("RELOADING=1"));
    let kept = next_word(&manager);
    assert!(kept.contains("READY=1") && kept.contains("refused"), "{kept}");

    gate.begin_to_stop();
    assert!(next_word(&manager).contains("STOPPING=1"));
    gate.stop().unwrap();
}

fn http(port: u16, path: &str) -> String {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn health_and_counters_are_shown_and_connections_above_the_cap_wait() {
    let directory = open_directory();
    let (listen, port) = (format!("unix:{}/gate.sock", directory.path().display()), Port::claim().unwrap());
    let settings = format!("max_connections = 1\n[metrics]\nlisten = \"127.0.0.1:{}\"\n", port.number());
    let installation = Installation::create(&directory.path().join("m"), &listen, &settings, "").unwrap();
    let gate =
        Gate::start_alone(&mut gate_command(&installation.config()), &directory.path().join("log")).unwrap();
    assert!(http(port.number(), "/healthz").starts_with("HTTP/1.1 200"));

    let connect = || UnixStream::connect(directory.path().join("gate.sock")).unwrap();
    let mut first = connect();
    first.write_all(&NEGOTIATION).unwrap();
    let mut answer = [0; 5];
    first.read_exact(&mut answer).unwrap();
    let second = connect();
    second.set_nonblocking(false).unwrap();
    (&second).write_all(&NEGOTIATION).unwrap();
    let count = |name: &str| Scrape::take(port.number()).unwrap().value(&format!("mailwarden_gate_{name}"));
    assert_eq!((count("connections_total"), count("connections_active")), (1, 1), "the second waits");
    drop(first);
    wait_for(SOON, "the second connection", || count("connections_total") == 2).unwrap();
    let mut late = [0; 5];
    second.set_read_timeout(Some(SOON)).unwrap();
    (&second).read_exact(&mut late).unwrap();
    assert_eq!(late[4], b'O', "refused instead of kept waiting");
    gate.stop().unwrap();
}

#[test]
fn a_decision_is_one_line_with_queue_id_rule_address_and_verdict() {
    let world = World::start().unwrap();
    let sent = world.send_from_outside(
        "news@vendor.test",
        &["shop@saas.example.test"],
        letter("n@vendor.test", "l"),
    );
    let id = sent.unwrap().queue_id().unwrap();
    let log = world.gate().log();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains(&id)).collect();
    assert_eq!(lines.len(), 1, "{log}");
    for part in ["verdict=\"reroute\"", "rule=\"route\"", "shop@saas.example.test", "reference=", "queue_id="]
    {
        assert!(lines[0].contains(part), "{part} is missing in {}", lines[0]);
    }
}

#[test]
fn a_check_opens_nothing_and_says_what_cannot_be() {
    let directory = open_directory();
    let check = |settings: &str| {
        let listen = format!("unix:{}/gate.sock", directory.path().display());
        let installation = Installation::create(&directory.path().join("m"), &listen, settings, "").unwrap();
        mailwarden_milter(&["--check", "--config", &installation.config()]).unwrap()
    };
    assert_eq!(check("").code, 0);
    for (settings, said) in [
        ("socket_group = \"no-such-group\"\n", "no-such-group"),
        ("socket_owner = \"no-such-user\"\n", "no-such-user"),
        ("user = \"no-such-user\"\n", "no-such-user"),
    ] {
        let output = check(settings);
        assert_eq!(output.code, 2, "{output:?}");
        assert!(output.stderr.contains(said), "{output:?}");
    }
    assert!(!Path::new(&format!("{}/gate.sock", directory.path().display())).exists());
    assert!(!directory.path().join("m/ledger.db").exists());
}
