//! A bad policy is refused with place, underlined text and what to write instead; a running gate keeps the old one.

#![allow(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

use mailwarden_e2e::{EXAMPLE_POLICY, Installation, Output, World, letter, mailwarden, mailwarden_milter};

/// A mistake at the end of the example policy.
struct Mistake {
    what: &'static str,
    addition: &'static [u8],
    /// What the report must point at: line (from the first of the addition) and column.
    place: (usize, usize),
    /// What stands on the underlined line.
    shown: &'static str,
    /// Part of what to write instead.
    advice: &'static str,
}

const MISTAKES: [Mistake; 5] = [
    Mistake {
        what: "an unknown key",
        addition: b"[[mailbox]]\naddress = \"a@example.test\"\nkind = \"role\"\nrecieve_only = true\n",
        place: (4, 1),
        shown: "recieve_only = true",
        advice: "receive_only",
    },
    Mistake {
        what: "a scope without a mailbox",
        addition: b"[[scope]]\ndomain = \"x.example.test\"\naccept = \"any\"\n",
        place: (1, 1),
        shown: "[[scope]]",
        advice: "deliver_to",
    },
    Mistake {
        what: "a scope with a mailbox that nobody knows",
        addition: b"[[scope]]\ndomain = \"x.example.test\"\ndeliver_to = \"nobody@example.test\"\n",
        place: (3, 14),
        shown: "deliver_to = \"nobody@example.test\"",
        advice: "[[mailbox]]",
    },
    Mistake {
        what: "a duplicate address",
        addition: b"[[mailbox]]\naddress = \"VAULT@example.test\"\nkind = \"role\"\n",
        place: (2, 11),
        shown: "address = \"VAULT@example.test\"",
        advice: "remove one of the two",
    },
    Mistake {
        what: "a file that is not UTF-8",
        addition: b"# caf\xe9 is Latin-1\n",
        place: (1, 6),
        shown: "# caf",
        advice: "UTF-8",
    },
];

impl Mistake {
    fn policy(&self) -> Vec<u8> {
        [EXAMPLE_POLICY.as_bytes(), b"\n", self.addition].concat()
    }

    /// The addition begins after the blank line that follows the example.
    fn place_in_file(&self, file: &str) -> String {
        let before = EXAMPLE_POLICY.lines().count() + 1;
        format!("{file}:{}:{}", before + self.place.0, self.place.1)
    }
}

fn assert_told(mistake: &Mistake, output: &Output, file: &str) {
    let what = mistake.what;
    assert_eq!(output.code, 2, "{what}: {output:?}");
    assert_eq!(output.stdout, "", "{what}: complaints are not data");
    let told = &output.stderr;
    let place = mistake.place_in_file(file);
    assert!(told.contains(&place), "{what}: {place} is not in\n{told}");
    let lines: Vec<&str> = told.lines().collect();
    let underlined = lines.windows(2).any(|pair| {
        let marks = pair[1].trim_start_matches([' ', '|']);
        pair[0].contains(mistake.shown) && marks.starts_with('^')
    });
    assert!(underlined, "{what}: {:?} is not underlined in\n{told}", mistake.shown);
    let advised = told.split_once("help:").is_some_and(|(_, help)| help.contains(mistake.advice));
    assert!(advised, "{what}: no advice about {:?} in\n{told}", mistake.advice);
}

#[test]
fn both_programs_refuse_a_bad_policy_and_show_the_place() {
    let directory = tempfile::tempdir().unwrap();
    let listen = format!("unix:{}", directory.path().join("gate.sock").display());
    let installation = Installation::create(directory.path(), &listen, "", "").unwrap();
    let config = installation.config();
    assert_eq!(mailwarden(&["check", "--config", &config]).unwrap().code, 0);
    assert_eq!(mailwarden_milter(&["--check", "--config", &config]).unwrap().code, 0);
    for mistake in &MISTAKES {
        installation.write_policy(mistake.policy()).unwrap();
        let file = installation.policy_file();
        assert_told(mistake, &mailwarden(&["check", "--config", &config]).unwrap(), &file);
        assert_told(mistake, &mailwarden_milter(&["--check", "--config", &config]).unwrap(), &file);
        // Without --check it must not start either.
        let started = mailwarden_milter(&["--config", &config]).unwrap();
        assert_eq!(started.code, 2, "{}: {started:?}", mistake.what);
    }
}

#[test]
fn a_bad_configuration_is_refused_in_the_same_way() {
    let directory = tempfile::tempdir().unwrap();
    let installation = Installation::create(directory.path(), "unix:/x", "", "").unwrap();
    let text = "[policy]\ndirectory = \"policy\"\n\n[gate]\nlissen = \"inet:127.0.0.1:1\"\n";
    let config = installation.write("mailwarden.toml", text).unwrap();
    for output in [
        mailwarden(&["check", "--config", &config]).unwrap(),
        mailwarden_milter(&["--check", "--config", &config]).unwrap(),
    ] {
        assert_eq!(output.code, 2, "{output:?}");
        assert!(output.stderr.contains(&format!("{config}:5:1")), "{}", output.stderr);
        assert!(output.stderr.contains('^') && output.stderr.contains("listen"), "{}", output.stderr);
    }
}

#[test]
fn the_gate_keeps_the_old_policy_when_the_new_one_is_bad() {
    let world = World::start().unwrap();
    let ask = |recipient: &str| {
        let sent = world.send_from_outside("news@vendor.test", &[recipient], letter("news@vendor.test", "s"));
        sent.unwrap().recipients[0].1.code
    };
    let burn = |text: &str| {
        format!(
            "{text}\n[[vendor]]\naddress = \"old@saas.example.test\"\norganisation = \"O\"\nstate = \"burned\"\n"
        )
    };
    assert_eq!((ask("burnt@saas.example.test"), ask("old@saas.example.test")), (550, 250));

    world.installation.write_policy(burn(EXAMPLE_POLICY).replace("owner = ", "ovner = ")).unwrap();
    world.gate().hang_up();
    world.gate().wait_until_says("the new policy is refused and the old one stays in force").unwrap();
    assert!(world.gate().log().contains("example.toml:5:1"), "{}", world.gate().log());
    assert_eq!((ask("burnt@saas.example.test"), ask("old@saas.example.test")), (550, 250));
    assert_eq!(
        world.metrics().unwrap().value("mailwarden_gate_policy_reloads_total{outcome=\"rejected\"}"),
        1
    );

    world.installation.write_policy(burn(EXAMPLE_POLICY)).unwrap();
    world.gate().hang_up();
    world.gate().wait_until_says("the new policy is in force").unwrap();
    assert_eq!((ask("burnt@saas.example.test"), ask("old@saas.example.test")), (550, 550));
    assert!(world.gate().is_running());
}
