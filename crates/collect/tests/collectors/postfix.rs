//! The Postfix collector against the real `postconf`, `postmap` and `postalias`.

use std::path::{Path, PathBuf};
use std::process::Command;

use mailwarden_collect::Harvest;
use mailwarden_collect::postfix::{PostfixPlan, SURFACES, collect};
use mailwarden_evidence::{CoverageState, Fact, SYSTEM};

/// A configuration directory of its own; nothing runs.
struct Instance {
    directory: tempfile::TempDir,
}

impl Instance {
    fn new(main_cf: &str, master_cf: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let instance = Self { directory };
        // Debian loads pcre and cdb through this file of the configuration directory.
        if let Ok(types) = std::fs::read("/etc/postfix/dynamicmaps.cf") {
            std::fs::write(instance.path("dynamicmaps.cf"), types).unwrap();
        }
        let base = "compatibility_level = 3.6\n";
        let here = format!("{}/", instance.root().display());
        instance.write("main.cf", &format!("{base}{}", main_cf.replace("@/", &here)));
        instance.write("master.cf", &master_cf.replace("@/", &here));
        instance
    }

    fn root(&self) -> &Path {
        self.directory.path()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    fn make(&self, program: &str, table: &str, name: &str) {
        let table = format!("{table}:{}", self.path(name).display());
        let ran = Command::new(program).arg("-c").arg(self.root()).arg(&table).output().unwrap();
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    }

    async fn collect(&self) -> Harvest {
        collect(&PostfixPlan::new(self.root())).await
    }
}

fn rows(harvest: &Harvest, wanted: &str) -> Vec<(String, String, Option<u32>)> {
    let row = |fact: &Fact| match fact {
        Fact::MapEntry { parameter, key, result, line, .. } if parameter == wanted => {
            Some((key.clone(), result.clone(), *line))
        }
        _ => None,
    };
    let mut rows: Vec<_> = harvest.observations.iter().filter_map(|seen| row(&seen.fact)).collect();
    rows.sort();
    rows
}

fn row(key: &str, result: &str, line: Option<u32>) -> (String, String, Option<u32>) {
    (key.to_owned(), result.to_owned(), line)
}

fn state(harvest: &Harvest, surface: &str) -> (CoverageState, String) {
    let row = harvest.coverage_of(SYSTEM, surface).unwrap();
    (row.state, row.reason.clone())
}

#[tokio::test]
async fn every_readable_table_is_read_with_its_lines() {
    let instance = Instance::new(
        "alias_maps = hash:@/aliases\n\
         virtual_alias_maps = btree:@/virtual, texthash:@/text,\n  proxy:hash:@/proxied \
         pcre:@/rules inline:{ {in@a.test = x@b.test} }\n\
         recipient_bcc_maps = static:copy@a.test\nalways_bcc = all@$mydomain\nmydomain = a.test\n",
        "",
    );
    instance.write("aliases", "# who\nroot: admin\nAll: bob,\n  carol\nrun: \"|/bin/cat\"\n");
    instance.write("virtual", "Shop@a.test bob@b.test\n\n# x\nsales@a.test carol@c.test, dave@d.test\n");
    instance.write("text", "t@a.test u@b.test\n");
    instance.write("proxied", "p@a.test q@b.test\n");
    instance.write("rules", "/^x-(.*)@a\\.test$/i  $1@b.test\nif /y/\n/^y@/ z@b.test\nendif\n");
    instance.make("postalias", "hash", "aliases");
    instance.make("postmap", "btree", "virtual");
    instance.make("postmap", "hash", "proxied");
    let harvest = instance.collect().await;
    for surface in SURFACES {
        assert_eq!(state(&harvest, surface), (CoverageState::Collected, String::new()), "{surface}");
    }
    let aliases = rows(&harvest, "alias_maps");
    assert_eq!(
        aliases,
        [
            row("all", "bob, carol", Some(3)),
            row("root", "admin", Some(2)),
            row("run", "\"|/bin/cat\"", Some(5))
        ]
    );
    assert_eq!(
        rows(&harvest, "virtual_alias_maps"),
        [
            row("/^x-(.*)@a\\.test$/i", "$1@b.test", Some(1)),
            row("/^y@/", "z@b.test", Some(3)),
            row("in@a.test", "x@b.test", None),
            row("p@a.test", "q@b.test", Some(1)),
            row("sales@a.test", "carol@c.test, dave@d.test", Some(4)),
            row("shop@a.test", "bob@b.test", Some(1)),
            row("t@a.test", "u@b.test", Some(1)),
        ]
    );
    assert_eq!(rows(&harvest, "recipient_bcc_maps"), [row("*", "copy@a.test", None)]);
    let expected = Fact::Parameter { name: "always_bcc".into(), value: "all@a.test".into() };
    assert!(harvest.observations.iter().any(|seen| seen.fact == expected));
    assert!(harvest.notes.iter().any(|note| note.contains("1 if/endif")), "{:?}", harvest.notes);
}

#[tokio::test]
async fn tables_that_cannot_be_listed_are_named_and_never_collected() {
    let instance = Instance::new(
        "alias_maps =\nvirtual_alias_maps = texthash:@/text, cdb:@/c, proxy:mysql:@/m, hash:@/missing\n\
         sender_bcc_maps = tcp:127.0.0.1:1\n",
        "",
    );
    instance.write("text", "t@a.test u@b.test\n");
    let harvest = instance.collect().await;
    let (virtual_state, reason) = state(&harvest, "postfix.virtual_alias_maps");
    assert_eq!(virtual_state, CoverageState::Partial);
    for table in ["cdb:", "proxy:mysql:", "hash:"] {
        assert!(reason.contains(table), "{table} is missing in: {reason}");
    }
    assert_eq!(rows(&harvest, "virtual_alias_maps").len(), 1, "what can be read is read");
    let (bcc_state, reason) = state(&harvest, "postfix.bcc_maps");
    assert_eq!(bcc_state, CoverageState::Partial);
    assert!(reason.contains("sender_bcc_maps: tcp:127.0.0.1:1"), "{reason}");
    assert_eq!(state(&harvest, "postfix.alias_maps").0, CoverageState::Collected);
}

#[tokio::test]
async fn a_text_that_was_changed_but_not_built_is_told_from_what_is_in_force() {
    let instance = Instance::new("alias_maps =\nvirtual_alias_maps = hash:@/virtual\n", "");
    instance.write("virtual", "a@a.test old@b.test\nb@a.test b@b.test\n");
    instance.make("postmap", "hash", "virtual");
    instance.write("virtual", "a@a.test new@b.test\nc@a.test c@b.test\n");
    let harvest = instance.collect().await;
    let got = rows(&harvest, "virtual_alias_maps");
    assert_eq!(got, [row("a@a.test", "old@b.test", Some(1)), row("b@a.test", "b@b.test", None)]);
    assert!(
        harvest.notes.iter().any(|note| note.contains("differs from its source text")),
        "{:?}",
        harvest.notes
    );
    let excerpts: Vec<&str> =
        harvest.observations.iter().map(|seen| seen.evidence.excerpt.as_str()).collect();
    assert!(excerpts.iter().any(|excerpt| excerpt.contains("another value")), "{excerpts:?}");
    assert!(excerpts.iter().any(|excerpt| excerpt.contains("no such key")), "{excerpts:?}");
}

#[tokio::test]
async fn overrides_of_single_services_are_read() {
    let instance = Instance::new(
        "alias_maps =\nhidden = @/other\n",
        "127.0.0.1:10025 inet n - n - - smtpd\n  -o always_bcc=spy@a.test\n\
         shadow unix n - n - 0 cleanup\n  -o virtual_alias_maps=texthash:$hidden\n",
    );
    instance.write("other", "o@a.test p@b.test\n");
    let harvest = instance.collect().await;
    assert_eq!(rows(&harvest, "shadow/unix:virtual_alias_maps"), [row("o@a.test", "p@b.test", Some(1))]);
    let expected =
        Fact::Parameter { name: "127.0.0.1:10025/inet:always_bcc".into(), value: "spy@a.test".into() };
    assert!(harvest.observations.iter().any(|seen| seen.fact == expected), "{:?}", harvest.observations);
}

#[tokio::test]
async fn an_instance_that_is_not_there_is_an_error_on_every_surface() {
    let harvest = collect(&PostfixPlan::new("/nonexistent/postfix")).await;
    for surface in SURFACES {
        let (state, reason) = state(&harvest, surface);
        assert_eq!(state, CoverageState::Error);
        assert!(reason.contains("/nonexistent/postfix"), "{reason}");
    }
    let mut plan = PostfixPlan::new("/nonexistent/postfix");
    plan.program_dir = Some("/nonexistent/sbin".into());
    let (state, reason) = state(&collect(&plan).await, SURFACES[0]);
    assert_eq!(state, CoverageState::Error);
    assert!(reason.contains("/nonexistent/sbin/postconf"), "{reason}");
}
