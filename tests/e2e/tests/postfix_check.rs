//! `mailwarden postfix check` on a real instance: everything good, then each thing broken once, and mended by
//! the command it prints.

#![allow(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use mailwarden_e2e::{Installation, Output, World, mailwarden, mailwarden_program};
use serde_json::Value;

struct Instance<'w> {
    world: &'w World,
    directory: PathBuf,
    main_cf: String,
    master_cf: String,
}

impl<'w> Instance<'w> {
    fn of(world: &'w World) -> Instance<'w> {
        let directory = world.lab.postfix.config_dir();
        let read = |name: &str| fs::read_to_string(directory.join(name)).unwrap();
        Instance { world, main_cf: read("main.cf"), master_cf: read("master.cf"), directory }
    }

    fn check(&self, format: &str) -> Output {
        let directory = self.directory.display().to_string();
        let config = self.world.installation.config();
        mailwarden(&["postfix", "check", "--config", &config, "--instance", &directory, "--format", format])
            .unwrap()
    }

    /// The items that are not as they should be.
    fn faults(&self) -> Vec<Value> {
        let report = self.check("json").json();
        assert_eq!(report["schema"], "mailwarden.postfix-check/1");
        let items = report["items"].as_array().unwrap();
        items.iter().filter(|item| item["verdict"] != "ok").cloned().collect()
    }

    /// Settings behind all others: Postfix takes the last.
    fn with(&self, lines: &str) {
        fs::write(self.directory.join("main.cf"), format!("{}\n{lines}\n", self.main_cf)).unwrap();
    }

    fn restore(&self) {
        fs::write(self.directory.join("main.cf"), &self.main_cf).unwrap();
        fs::write(self.directory.join("master.cf"), &self.master_cf).unwrap();
    }

    /// The command as an admin would type it, on this instance.
    fn type_in(&self, command: &str) {
        let here = command.replacen("postconf", &format!("postconf -c {}", self.directory.display()), 1);
        assert!(Command::new("/bin/sh").args(["-c", &here]).status().unwrap().success(), "{here}");
    }

    fn service(&self, port: u16) -> String {
        format!("127.0.0.1:{port}/inet")
    }
}

fn expect(instance: &Instance<'_>, what: &str, id: &str, mends_itself: bool) {
    let faults = instance.faults();
    let fault = faults.iter().find(|fault| fault["id"] == id);
    let fault = fault.unwrap_or_else(|| panic!("{what}: no {id} in {faults:?}"));
    assert_eq!(fault["verdict"], "wrong", "{what}: {fault}");
    for key in ["subject", "is", "should", "why", "command"] {
        assert!(fault[key].as_str().is_some_and(|text| !text.is_empty()), "{what}: no {key}: {fault}");
    }
    if mends_itself {
        instance.type_in(fault["command"].as_str().unwrap());
        let left = instance.faults();
        assert!(!left.iter().any(|fault| fault["id"] == id), "{what}: still there: {left:?}");
    }
    instance.restore();
}

#[test]
fn a_rendered_instance_is_good_and_every_fault_is_named_and_mended() {
    let world = World::start().unwrap();
    let instance = Instance::of(&world);
    let good = instance.check("text");
    assert_eq!(good.code, 0, "{good:?}");
    assert!(good.stdout.contains("0 wrong, 0 unknown"), "{}", good.stdout);
    let gate = world.milter_address().to_owned();
    let before = format!("smtpd_milters = {gate}, inet:127.0.0.1:1\nnon_smtpd_milters = {gate}");
    let accept = format!("smtpd_milters = {{ {gate}, default_action=accept }}");
    let faults: [(&str, &str, bool); 18] = [
        ("domain-class", "relay_domains = other.test", true),
        ("domain-class", "virtual_alias_domains = saas.example.test", false),
        ("domain-class", "virtual_mailbox_domains = example.test, saas.example.test\nrelay_domains =", false),
        ("relay-recipients", "relay_recipient_maps = inline:{ one@saas.example.test=x }", true),
        ("relay-transport", "relay_transport = smtp:[127.0.0.1]:1", true),
        ("relay-transport", "relay_transport = error:no", true),
        ("relay-transport", "transport_maps = inline:{ saas.example.test=smtp:[127.0.0.1]:1 }", false),
        ("milter-default-action", "milter_default_action = accept", true),
        ("milter-default-action", &accept, false),
        ("original-recipient", "enable_original_recipient = no", true),
        ("gate-asked", "smtpd_milters =", true),
        ("gate-asked", &before, true),
        ("gate-asked-locally", "non_smtpd_milters =", true),
        ("internal-mail", "internal_mail_filter_classes = bounce, notify", true),
        ("bare-newline", "smtpd_forbid_bare_newline = no", true),
        ("unauth-pipelining", "smtpd_forbid_unauth_pipelining = no", true),
        ("milter-protocol", "milter_protocol = 4", true),
        ("milter-maps", "smtpd_milter_maps = inline:{ 10.0.0.1=DISABLE }", true),
    ];
    for (id, lines, mends_itself) in faults {
        instance.with(lines);
        expect(&instance, lines, id, mends_itself);
    }
    shown_to_a_person(&instance);
    no_longer_written_down(&instance);
    services(&world, &instance);
    socket(&world, &instance);
    assert_eq!(instance.check("text").code, 0, "everything was put back");
}

/// The value is the same, but the next version of Postfix may have another default.
fn no_longer_written_down(instance: &Instance<'_>) {
    instance.type_in("postconf -X milter_default_action");
    expect(instance, "no milter_default_action", "milter-default-action", true);
}

fn services(world: &World, instance: &Instance<'_>) {
    let mx = instance.service(world.lab.postfix.smtp_port());
    let msa = instance.service(world.lab.postfix.submission_port());
    instance.type_in(&format!("postconf -P '{mx}/milter_macro_daemon_name=ORIGINATING'"));
    expect(instance, "an MX that calls itself ORIGINATING", "daemon-name", true);
    instance.type_in(&format!("postconf -P '{msa}/milter_macro_daemon_name=mx'"));
    expect(instance, "an MSA that does not", "daemon-name", true);
    instance.type_in(&format!("postconf -P '{mx}/smtpd_milters='"));
    expect(instance, "a service without the gate", "gate-asked", true);
    instance.type_in(&format!("postconf -P '{mx}/receive_override_options=no_milters'"));
    expect(instance, "no_milters", "no-milters", false);
    instance.type_in(&format!("postconf -F '{mx}/chroot=y'"));
    expect(instance, "a chroot that the socket lies outside of", "socket", false);
}

/// A person reads the same: what is, what should be, why, what to type.
fn shown_to_a_person(instance: &Instance<'_>) {
    instance.with("enable_original_recipient = no");
    let text = instance.check("text");
    assert_eq!(text.code, 1, "{text:?}");
    for part in ["WRONG    enable_original_recipient = no", "should be: yes", "why: ", "postconf -e"] {
        assert!(text.stdout.contains(part), "{part} is missing in {}", text.stdout);
    }
    instance.restore();
}

fn socket(world: &World, instance: &Instance<'_>) {
    let path = world.lab.milter_socket();
    let set_mode = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    set_mode(0o600);
    expect(instance, "a socket for its owner only", "socket", false);
    set_mode(0o666);
    let folder = path.parent().unwrap().to_owned();
    let open = fs::metadata(&folder).unwrap().permissions();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
    expect(instance, "a directory that postfix cannot pass", "socket", false);
    fs::set_permissions(&folder, open).unwrap();
    let config = world.installation.config();
    let directory = instance.directory.display().to_string();
    let nobody =
        ["postfix", "check", "--config", &config, "--instance", &directory, "--milter", "inet:127.0.0.1:1"];
    let output = mailwarden(&nobody).unwrap();
    assert_eq!(output.code, 1, "{output:?}");
    assert!(output.stdout.contains("nobody answers"), "{}", output.stdout);
}

#[test]
fn what_cannot_be_looked_at_is_never_good_and_no_instance_is_a_wrong_configuration() {
    let world = World::start().unwrap();
    let instance = Instance::of(&world);
    instance.with("relay_domains = saas.example.test\ntransport_maps = hash:/nonexistent/table");
    let output = instance.check("text");
    assert_eq!(output.code, 3, "{output:?}");
    assert!(
        output.stdout.contains("unknown") && output.stdout.contains("/nonexistent/table"),
        "{}",
        output.stdout
    );
    instance.restore();
    let config = world.installation.config();
    let nowhere =
        mailwarden(&["postfix", "check", "--config", &config, "--instance", "/nonexistent"]).unwrap();
    assert_eq!(nowhere.code, 2, "{nowhere:?}");
    assert!(nowhere.stderr.contains("/nonexistent"), "{}", nowhere.stderr);
}

/// Neither the admin's mistake nor an answer about the instance: a script must not take it for either.
#[test]
fn a_postconf_that_prints_without_end_says_nothing_about_the_instance() {
    let directory = tempfile::tempdir().unwrap();
    let installation = Installation::create(directory.path(), "unix:/nonexistent/gate.sock", "", "").unwrap();
    let config = installation.config();
    let asked = ["postfix", "check", "--config", &config, "--instance", "/nonexistent"];
    let endless = installation.write("postconf", "#!/bin/sh\nexec cat /dev/zero\n").unwrap();
    fs::set_permissions(&endless, fs::Permissions::from_mode(0o755)).unwrap();
    let others = std::env::var_os("PATH").unwrap();
    let all = [directory.path().to_owned()].into_iter().chain(std::env::split_paths(&others));
    let mut command = Command::new(mailwarden_program().unwrap());
    let output = command.args(asked).env("PATH", std::env::join_paths(all).unwrap()).output().unwrap();
    assert_eq!(output.status.code(), Some(4), "{output:?}");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.stdout.is_empty() && complaint.contains("postconf"), "{output:?}");
}

#[test]
fn the_virtual_alias_recipe_is_good_too_and_mail_takes_the_gates_way() {
    let world = World::start().unwrap();
    let config = world.installation.config();
    let rendered =
        mailwarden(&["postfix", "render", "--config", &config, "--recipe", "virtual-alias"]).unwrap();
    assert_eq!(rendered.code, 0, "{rendered:?}");
    world.lab.postfix.append_main_cf(&format!("relay_domains =\n{}", rendered.stdout)).unwrap();
    world.lab.postfix.reload().unwrap();
    let instance = Instance::of(&world);
    let good = instance.check("text");
    assert_eq!(good.code, 0, "{}", good.stdout);
    let vendor = "news@vendor.test";
    for (recipient, accepted) in [("shop@saas.example.test", true), ("burnt@saas.example.test", false)] {
        let text = mailwarden_e2e::letter(vendor, recipient);
        let sent = world.send_from_outside(vendor, &[recipient], text).unwrap();
        assert_eq!(sent.is_accepted(), accepted, "{recipient}: {sent:?}");
    }
    let copy = world.arrives_once("ops@example.test", "shop@saas.example.test").unwrap();
    assert_eq!(copy.header_all("Mailwarden-Route").len(), 1, "{copy:?}");
}
