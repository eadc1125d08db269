//! `mailwarden sieve audit`, `explain`, `disable` and `undo`, as an administrator calls them.

#![allow(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Output;

use assert_cmd::Command;
use serde_json::Value;

const SCRIPT: &str = "require [\"copy\", \"variables\"];\r\nset \"who\" \"evil\";\r\n\
    if header :contains \"subject\" \"invoice\" {\r\n    redirect :copy \"${who}@z.example\";\r\n}\r\n\
    keep;\r\n";

fn mailwarden(arguments: &[&str]) -> Output {
    Command::cargo_bin("mailwarden").unwrap().arg("sieve").args(arguments).output().unwrap()
}

fn told(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

fn succeeds(arguments: &[&str]) -> String {
    let (code, out, talk) = told(&mailwarden(arguments));
    assert_eq!(code, 0, "{arguments:?}: {out}{talk}");
    out
}

struct Folder {
    folder: tempfile::TempDir,
}

impl Folder {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn put(&self, name: &str, text: &[u8]) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn audited(path: &Path) -> Value {
    serde_json::from_str(&succeeds(&["audit", path.to_str().unwrap(), "--format", "json"])).unwrap()
}

/// The effects of the only script.
fn effects(audit: &Value) -> Vec<Value> {
    audit["scripts"][0]["dialects"]["pigeonhole"]["effects"].as_array().unwrap().clone()
}

fn redirect_of(path: &Path) -> Value {
    effects(&audited(path)).into_iter().find(|effect| effect["kind"] == "redirect").unwrap()
}

#[test]
fn an_audit_shows_the_source_the_target_and_the_steps() {
    let folder = Folder::new();
    let path = folder.put("main.sieve", SCRIPT.as_bytes());
    let text = succeeds(&["audit", path.to_str().unwrap()]);
    assert!(text.contains("evil@z.example"), "{text}");
    let explained = succeeds(&["explain", path.to_str().unwrap()]);
    for part in ["redirect :copy \"${who}@z.example\"", "^^^", "evil@z.example", "set \"who\"", "invoice"] {
        assert!(explained.contains(part), "{part} is not in\n{explained}");
    }
}

#[test]
fn json_holds_what_scripts_may_rely_on() {
    let folder = Folder::new();
    let path = folder.put("main.sieve", SCRIPT.as_bytes());
    let audit = audited(&path);
    assert_eq!(audit["schema"], "mailwarden.sieve/1");
    let script = &audit["scripts"][0];
    assert_eq!(script["bytes"], SCRIPT.len());
    assert_eq!(script["covered_bytes"], SCRIPT.len());
    assert_eq!(script["sha256"].as_str().unwrap().len(), 64);
    let redirect = redirect_of(&path);
    assert_eq!(redirect["targets"][0], "evil@z.example");
    assert_eq!((&redirect["form"], &redirect["reach"]), (&"exact".into(), &"conditional".into()));
    assert_eq!(redirect["local_copy"], "kept");
    assert_eq!((&redirect["span"]["line"], &redirect["span"]["column"]), (&4.into(), &5.into()));
    let all = serde_json::from_str::<Value>(&succeeds(&[
        "audit",
        path.to_str().unwrap(),
        "--dialect",
        "all",
        "--format",
        "json",
    ]))
    .unwrap();
    let dialects = all["scripts"][0]["dialects"].as_object().unwrap();
    assert_eq!(dialects.keys().collect::<Vec<_>>(), ["cyrus", "pigeonhole", "stalwart"]);
}

#[test]
fn nothing_hostile_reaches_the_terminal_or_a_page() {
    let folder = Folder::new();
    let script = "require [\"fileinto\"];\n# rule:[\u{1b}[2J\u{202e}<script>]\nif true\n{\n\
         fileinto \"\u{1b}]0;x\u{7}\u{202e}\u{200b}<img src=x>\";\n\
         redirect \"\u{9b}31m\\\"<b>@x.example\";\n}\n";
    let path = folder.put("\u{1b}[31mname\u{202e}.sieve", script.as_bytes());
    let name = path.to_str().unwrap();
    let out = [
        succeeds(&["audit", name]),
        succeeds(&["explain", name]),
        succeeds(&["audit", name, "--format", "json"]),
        told(&mailwarden(&["explain", name, "--effect", "\u{1b}[2Jnone"])).2,
        told(&mailwarden(&["disable", name, "--effect", "\u{1b}[2Jnone"])).2,
        told(&mailwarden(&["audit", "/nonexistent/\u{1b}[2J\u{202e}"])).2,
    ];
    for text in &out {
        let hidden = ['\u{1b}', '\u{7}', '\u{9b}', '\u{202e}', '\u{200b}'];
        assert!(!text.contains(hidden), "{text:?}");
    }
    assert!(!out[2].contains(['<', '>', '&']), "{}", out[2]);
    let audit: Value = serde_json::from_str(&out[2]).unwrap();
    assert!(audit["scripts"][0]["file"].as_str().unwrap().contains('\u{202e}'), "the value stays the same");
}

#[test]
fn a_dry_run_changes_nothing_and_a_change_can_be_taken_back() {
    let folder = Folder::new();
    let path = folder.put("main.sieve", SCRIPT.as_bytes());
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let name = path.to_str().unwrap();
    let before = audited(&path)["scripts"][0]["sha256"].clone();
    let id = redirect_of(&path)["id"].as_str().unwrap().to_owned();

    let plan = succeeds(&["disable", name, "--effect", &id]);
    assert!(plan.contains("-    redirect") && plan.contains("+    if false { redirect"), "{plan}");
    assert_eq!(
        (fs::read(&path).unwrap(), folder.names()),
        (SCRIPT.as_bytes().to_vec(), vec!["main.sieve".into()])
    );

    succeeds(&["disable", name, "--effect", &id, "--write"]);
    assert_eq!(redirect_of(&path)["reach"], "dead");
    assert_eq!(effects(&audited(&path)).iter().filter(|effect| effect["reach"] != "dead").count(), 1);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
    let left = folder.names();
    assert!(left.len() == 2 && !left.iter().any(|name| name.ends_with(".new")), "{left:?}");

    let changed = fs::read(&path).unwrap();
    succeeds(&["undo", name]);
    assert_eq!(fs::read(&path).unwrap(), changed, "without --write nothing changes");
    succeeds(&["undo", name, "--write"]);
    assert_eq!(audited(&path)["scripts"][0]["sha256"], before);
    assert_eq!(folder.names(), ["main.sieve"]);
}

#[test]
fn the_flat_method_leaves_mail_where_it_was_and_links_are_followed() {
    let folder = Folder::new();
    let path = folder.put("main.sieve", b"redirect \"evil@z.example\";\n");
    let link = folder.folder.path().join("active.sieve");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    let id = redirect_of(&link)["id"].as_str().unwrap().to_owned();
    succeeds(&["disable", link.to_str().unwrap(), "--effect", &id, "--method", "flat", "--write"]);
    assert_eq!(fs::read(&path).unwrap(), b"keep;\n");
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    succeeds(&["undo", link.to_str().unwrap(), "--write"]);
    assert_eq!(fs::read(&path).unwrap(), b"redirect \"evil@z.example\";\n");
}

#[test]
fn what_is_refused_says_why_and_changes_nothing() {
    let folder = Folder::new();
    let broken = folder.put("broken.sieve", b"redirect \"a@x.example\"");
    let dead = folder.put("script.sieve", SCRIPT.as_bytes());
    let rows: [(&[&str], &str); 6] = [
        (&["disable", broken.to_str().unwrap(), "--effect", "redirect-0"], "refuses this script"),
        (&["disable", dead.to_str().unwrap(), "--effect", "redirect-0", "--write"], "no effect redirect-0"),
        (&["explain", dead.to_str().unwrap(), "--effect", "redirect-0"], "has no effect"),
        (&["undo", dead.to_str().unwrap(), "--write"], "nothing to undo"),
        (&["audit", "/nonexistent/script.sieve"], "cannot read the script"),
        (&["audit"], "FILE"),
    ];
    for (arguments, why) in rows {
        let (code, out, talk) = told(&mailwarden(arguments));
        assert_eq!((code, out.as_str()), (2, ""), "{arguments:?}: {talk}");
        assert!(talk.contains(why), "{arguments:?}: {talk}");
    }
    assert_eq!(fs::read(&dead).unwrap(), SCRIPT.as_bytes());
    assert_eq!(folder.names(), ["broken.sieve", "script.sieve"]);
}

#[test]
fn effects_of_included_scripts_are_named_with_the_script_that_holds_them() {
    let folder = Folder::new();
    let main = folder.put("main.sieve", b"require \"include\"; include \"fwd\";\n");
    folder.put("fwd.sieve", b"redirect \"evil@z.example\";\n");
    let personal = folder.folder.path().to_str().unwrap().to_owned();
    let out = succeeds(&["audit", main.to_str().unwrap(), "--personal", &personal, "--format", "json"]);
    let audit: Value = serde_json::from_str(&out).unwrap();
    let effect = effects(&audit).into_iter().find(|effect| effect["kind"] == "redirect").unwrap();
    assert_eq!((&effect["script"], &effect["via"][0]), (&"fwd".into(), &"fwd".into()));
    let text = succeeds(&["audit", main.to_str().unwrap(), "--personal", &personal]);
    assert!(text.contains("fwd"), "{text}");
    let id = effect["id"].as_str().unwrap();
    let (code, _, talk) = told(&mailwarden(&["disable", main.to_str().unwrap(), "--effect", id, "--write"]));
    assert_eq!(code, 2, "{talk}");
    assert!(talk.contains("switched off in that script"), "{talk}");
    let inner = folder.folder.path().join("fwd.sieve");
    let id = redirect_of(&inner)["id"].as_str().unwrap().to_owned();
    succeeds(&["disable", inner.to_str().unwrap(), "--effect", &id, "--write"]);
    let out = succeeds(&["audit", main.to_str().unwrap(), "--personal", &personal, "--format", "json"]);
    let after = effects(&serde_json::from_str(&out).unwrap());
    assert!(after.iter().all(|effect| effect["kind"] != "redirect" || effect["reach"] == "dead"), "{out}");
}

#[test]
fn a_script_of_imap_events_is_read_with_its_folder() {
    let folder = Folder::new();
    let script: &[u8] = b"require [\"environment\", \"imapsieve\"];\n\
        if environment :is \"imap.mailbox\" \"Sent\" { redirect \"a@z.example\"; }\n";
    let main = folder.put("main.sieve", script);
    let (main, personal) = (main.to_str().unwrap(), folder.folder.path().to_str().unwrap());
    let reach = |more: &[&str]| {
        let out = succeeds(&[&["audit", main, "--format", "json", "--personal", personal], more].concat());
        effects(&serde_json::from_str(&out).unwrap())[0]["reach"].as_str().unwrap().to_owned()
    };
    assert_eq!(reach(&["--imap-folder", "Sent"]), "always");
    assert_eq!(reach(&["--imap-folder", "Drafts"]), "dead");
    assert_eq!(reach(&[]), "conditional");
}
