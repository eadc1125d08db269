//! The Postfix collector against the real `postconf`, `postmap` and `postalias`.

use std::path::{Path, PathBuf};
use std::process::Command;

use mailwarden_collect::Harvest;
use mailwarden_collect::postfix::{PostfixPlan, SURFACES, collect};
use mailwarden_evidence::{CoverageState, Fact, SYSTEM};
use mailwarden_lab::PostgreSql;
use mailwarden_lab::mariadb::MariaDb;
use mailwarden_lab::slapd::{BASE, Slapd};

/// A configuration directory of its own; nothing runs.
struct Instance {
    directory: tempfile::TempDir,
}

impl Instance {
    fn new(main_cf: &str, master_cf: &str) -> Self {
        mailwarden_lab::packages::ensure_installed(&mut |_| {}).unwrap();
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
        "alias_maps = hash:@/aliases\nforward_path = @/forward/$user\n\
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
    // Nothing runs here, so there is no queue to be told of.
    for surface in SURFACES.into_iter().filter(|surface| !["postfix.queue", "postfix.sasl"].contains(surface))
    {
        assert_eq!(state(&harvest, surface), (CoverageState::Collected, String::new()), "{surface}");
    }
    assert_eq!(state(&harvest, "postfix.sasl").0, CoverageState::Unsupported, "nobody logs in here");
    assert_eq!(state(&harvest, "postfix.queue").0, CoverageState::Error);
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
    assert_eq!(
        got,
        [
            row("a@a.test", "new@b.test", Some(1)),
            row("a@a.test", "old@b.test", Some(1)),
            row("b@a.test", "b@b.test", None),
            row("c@a.test", "c@b.test", Some(2)),
        ]
    );
    let pending = |fact: &Fact| match fact {
        Fact::MapEntry { result, pending: true, .. } => Some(result.clone()),
        _ => None,
    };
    let mut waiting: Vec<_> = harvest.observations.iter().filter_map(|seen| pending(&seen.fact)).collect();
    waiting.sort();
    assert_eq!(waiting, ["c@b.test", "new@b.test"], "only in the text");
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

#[tokio::test]
async fn constant_databases_chains_networks_and_rules_inside_parameters_are_read() {
    let instance = Instance::new(
        "alias_maps =\n\
         virtual_alias_maps = cdb:@/constant unionmap:{texthash:@/one,static:copy@a.test}\n\
         \x20 pcre:{{/^p-/ q@b.test},{/^(.*)@r$$/ $$1@b.test}}\n\
         recipient_bcc_maps = pipemap:{texthash:@/one,inline:{ {u@b.test = v@b.test} }}\n\
         smtpd_client_restrictions = check_client_access cidr:@/networks, permit\n\
         header_checks = regexp:@/headers\nnested_header_checks = $header_checks\n",
        "",
    );
    instance.write("constant", "k@a.test l@b.test\n");
    instance.make("postmap", "cdb", "constant");
    instance.write("constant", "k@a.test l@b.test\nm@a.test n@b.test\n");
    instance.write("one", "t@a.test u@b.test\n");
    instance.write("networks", "# own\n192.0.2.0/24 BCC spy@b.test\nif 10.0.0.0/8\n10.1.0.0/16 OK\nendif\n");
    instance.write("headers", "/^Subject: x/\n  REDIRECT y@b.test\n");
    let mut plan = PostfixPlan::new(instance.root());
    plan.known = vec!["T@a.test".to_owned()];
    let harvest = collect(&plan).await;
    let virtual_rows = rows(&harvest, "virtual_alias_maps");
    for expected in [
        row("k@a.test", "l@b.test", Some(1)),
        row("m@a.test", "n@b.test", Some(2)),
        row("t@a.test", "u@b.test", Some(1)),
        row("*", "copy@a.test", None),
        row("/^p-/", "q@b.test", None),
        row("/^(.*)@r$/", "$1@b.test", None),
    ] {
        assert!(virtual_rows.contains(&expected), "{expected:?} in {virtual_rows:?}");
    }
    let pending = |seen: &mailwarden_evidence::Observation| matches!(&seen.fact, Fact::MapEntry { key, pending: true, .. } if key == "m@a.test");
    assert!(harvest.observations.iter().any(pending), "added to the text and not built");
    let copies = rows(&harvest, "recipient_bcc_maps");
    assert!(copies.contains(&row("t@a.test", "v@b.test", None)), "the chain was asked: {copies:?}");
    assert_eq!(rows(&harvest, "check_client_access")[0], row("10.1.0.0/16", "OK", Some(4)));
    assert_eq!(rows(&harvest, "check_client_access")[1], row("192.0.2.0/24", "BCC spy@b.test", Some(2)));
    assert_eq!(rows(&harvest, "header_checks"), [row("/^Subject: x/", "REDIRECT y@b.test", Some(1))]);
    assert!(rows(&harvest, "nested_header_checks").is_empty(), "the same rules are not listed twice");
    for surface in ["postfix.virtual_alias_maps", "postfix.bcc_maps", "postfix.content_checks"] {
        assert_eq!(state(&harvest, surface), (CoverageState::Collected, String::new()), "{surface}");
    }
}

#[tokio::test]
async fn a_database_is_asked_for_everybody_who_is_known_and_never_called_whole() {
    let instance = Instance::new("alias_maps =\nvirtual_alias_maps = sqlite:@/aliases.cf\n", "");
    let database = instance.path("aliases.db");
    let made = Command::new("sqlite3")
        .arg(&database)
        .arg("CREATE TABLE alias (address TEXT, goto TEXT); INSERT INTO alias VALUES ('bob@a.test', 'x@b.test'), ('hidden@a.test', 'y@b.test');")
        .output();
    assert!(made.unwrap().status.success());
    let definition =
        format!("dbpath = {}\nquery = SELECT goto FROM alias WHERE address = '%s'\n", database.display());
    instance.write("aliases.cf", &definition);
    let mut plan = PostfixPlan::new(instance.root());
    plan.known = vec!["bob@a.test".to_owned(), "jane@a.test".to_owned()];
    let harvest = collect(&plan).await;
    let (state, reason) = state(&harvest, "postfix.virtual_alias_maps");
    assert_eq!(state, CoverageState::Partial);
    assert_eq!(rows(&harvest, "virtual_alias_maps"), [row("bob@a.test", "x@b.test", None)], "{reason}");
    assert!(reason.contains("1 had an answer"), "{reason}");
}

/// The definition of a table in a database server, as an administrator writes it.
fn definition(port: u16, user: &str, database: &str) -> String {
    format!(
        "hosts = 127.0.0.1:{port}\nuser = {user}\npassword = tiger\ndbname = {database}\n\
         query = SELECT goto FROM alias WHERE address = '%s' AND active = 1\n"
    )
}

const ALIASES: &str = "CREATE TABLE alias (address VARCHAR(255), goto VARCHAR(255), active INT);\n\
     INSERT INTO alias VALUES ('bob@a.test', 'x@b.test', 1), ('jane@a.test', 'old@b.test', 0), \
     ('hidden@a.test', 'y@b.test', 1);\n";

/// What is known is asked for, names that would be commands or SQL included; what is not known is said.
async fn asked(instance: &Instance) {
    let mut plan = PostfixPlan::new(instance.root());
    let ran = instance.path("ran");
    let command = format!("$(touch {0})`touch {0}`@a.test", ran.display());
    let hostile = ["x' OR '1'='1@a.test", "-q@a.test", "*@a.test", "x)(mailLocalAddress=*@a.test", &command];
    let known = ["bob@a.test", "jane@a.test"].into_iter().chain(hostile);
    plan.known = known.map(str::to_owned).collect();
    let harvest = collect(&plan).await;
    let (state, reason) = state(&harvest, "postfix.virtual_alias_maps");
    assert_eq!(rows(&harvest, "virtual_alias_maps"), [row("bob@a.test", "x@b.test", None)], "{reason}");
    assert_eq!(state, CoverageState::Partial);
    assert!(reason.contains("keys of known addresses were asked for, 1 had an answer"), "{reason}");
    assert!(reason.contains("other rows cannot be listed") && !reason.contains("tiger"), "{reason}");
    assert!(!ran.exists(), "a key is never a command");
    assert!(!format!("{:?}", harvest.observations).contains("tiger"));
}

#[tokio::test]
async fn a_table_in_mariadb_is_asked_for_everybody_who_is_known_and_never_called_whole() {
    let server = MariaDb::start(&format!(
        "CREATE DATABASE mail;\nUSE mail;\n{ALIASES}CREATE USER postfix@'127.0.0.1' IDENTIFIED BY 'tiger';\n\
         GRANT SELECT ON mail.* TO postfix@'127.0.0.1';\n"
    ))
    .unwrap();
    let instance = Instance::new("alias_maps =\nvirtual_alias_maps = proxy:mysql:@/mysql.cf\n", "");
    instance.write("mysql.cf", &definition(server.port(), "postfix", "mail"));
    asked(&instance).await;
    drop(server);
    let mut plan = PostfixPlan::new(instance.root());
    plan.known = vec!["bob@a.test".to_owned()];
    let (state, reason) = state(&collect(&plan).await, "postfix.virtual_alias_maps");
    assert_eq!(state, CoverageState::Partial, "a server that is gone is no empty table");
    assert!(!reason.contains("0 had an answer") && !reason.contains("tiger"), "{reason}");
}

#[tokio::test]
async fn a_table_in_postgresql_is_asked_for_everybody_who_is_known_and_never_called_whole() {
    let server = PostgreSql::start().unwrap();
    let database = server.database().unwrap();
    let reader = "CREATE ROLE postfix LOGIN; GRANT SELECT ON alias TO postfix;";
    server.query(&database, &format!("{ALIASES}{reader}")).unwrap();
    let instance = Instance::new("alias_maps =\nvirtual_alias_maps = pgsql:@/pgsql.cf\n", "");
    instance.write("pgsql.cf", &definition(server.port(), "postfix", &database));
    asked(&instance).await;
}

#[tokio::test]
async fn a_table_in_a_directory_is_asked_for_everybody_who_is_known_and_never_called_whole() {
    let forwards = |name: &str, to: &str| {
        format!(
            "dn: uid={name},{BASE}\nobjectClass: inetOrgPerson\nobjectClass: inetLocalMailRecipient\nuid: {name}\n\
             cn: {name}\nsn: {name}\nmailLocalAddress: {name}@a.test\nmailRoutingAddress: {to}\n\n"
        )
    };
    let slapd =
        Slapd::start(&[forwards("bob", "x@b.test"), forwards("hidden", "y@b.test")].concat()).unwrap();
    let instance = Instance::new("alias_maps =\nvirtual_alias_maps = proxy:ldap:@/ldap.cf\n", "");
    let definition = format!(
        "server_host = {}\nversion = 3\nsearch_base = {BASE}\nquery_filter = (mailLocalAddress=%s)\n\
         result_attribute = mailRoutingAddress\n",
        slapd.url()
    );
    instance.write("ldap.cf", &definition);
    asked(&instance).await;
}

#[tokio::test]
async fn a_directory_that_nobody_can_ask_is_named_with_its_definition() {
    let instance = Instance::new("alias_maps =\nvirtual_alias_maps = ldap:@/ldap.cf\n", "");
    instance.write("ldap.cf", "server_host = ldap://127.0.0.1:1\nsearch_base = dc=a\nbind_pw = tiger\n");
    let mut plan = PostfixPlan::new(instance.root());
    plan.known = vec!["bob@a.test".to_owned()];
    let harvest = collect(&plan).await;
    let (state, reason) = state(&harvest, "postfix.virtual_alias_maps");
    assert_eq!(state, CoverageState::Partial);
    assert!(reason.contains("ldap.cf") && !reason.contains("tiger"), "{reason}");
}

#[tokio::test]
async fn lists_that_aliases_include_are_followed_round_in_circles_and_past_devices() {
    let instance = Instance::new("alias_maps = hash:@/aliases\nmydestination =\n", "");
    let at = |name: &str| instance.path(name).display().to_string();
    instance.write(
        "aliases",
        &format!(
            "staff: :include:{}\nzero: :include:/dev/zero\npipe: :include:{}\ngone: :include:{}\nempty: \":include:{}\"\n",
            at("staff"),
            at("pipe"),
            at("gone"),
            at("empty")
        ),
    );
    instance.write("staff", &format!("# the staff\nbob@a.test\n:include:{}\n|/bin/cat\n", at("more")));
    instance.write("more", &format!("eve@evil.test, :include:{}\n", at("staff")));
    instance.write("empty", "");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        instance.path("pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    instance.make("postalias", "hash", "aliases");
    let harvest = instance.collect().await;
    let listed: Vec<_> =
        rows(&harvest, "alias_maps").into_iter().filter(|row| row.0.starts_with(':')).collect();
    let (more, staff) = (format!(":include:{}", at("more")), format!(":include:{}", at("staff")));
    assert_eq!(
        listed,
        [
            row(&more, &format!("eve@evil.test, {staff}"), Some(1)),
            row(&staff, &more, Some(3)),
            row(&staff, "bob@a.test", Some(2)),
            row(&staff, "|/bin/cat", Some(4)),
        ]
    );
    let (state, reason) = state(&harvest, "postfix.alias_maps");
    assert_eq!(state, CoverageState::Partial);
    for (path, why) in [("/dev/zero", "regular"), ("pipe", "regular"), ("gone", "No such file")] {
        assert!(reason.contains(path) && reason.contains(why), "{path}: {reason}");
    }
    assert!(!reason.contains("empty"), "an empty list was read: {reason}");
}

#[tokio::test]
async fn five_million_lines_cost_no_more_than_what_is_taken_of_them() {
    let instance = Instance::new("alias_maps =\nvirtual_alias_maps = texthash:@/huge pcre:@/odd\n", "");
    instance.write("huge", &"a@a.test b\n".repeat(5_000_000));
    std::fs::write(instance.path("odd"), b"/^\xff\xfe@a/ \xe9@b.test\n/^`id`$(id)@a/ |/bin/false\n").unwrap();
    let mut plan = PostfixPlan::new(instance.root());
    plan.most_entries = 2_000;
    let begin = std::time::Instant::now();
    let harvest = collect(&plan).await;
    assert!(begin.elapsed().as_secs() < 60, "{:?}", begin.elapsed());
    assert!(harvest.observations.len() < 2_100, "{}", harvest.observations.len());
    let (state, reason) = state(&harvest, "postfix.virtual_alias_maps");
    assert_eq!(state, CoverageState::Partial);
    assert!(reason.contains("rows beyond the first 2000"), "{reason}");
    let odd = rows(&harvest, "virtual_alias_maps").into_iter().find(|row| row.0.contains("`id`")).unwrap();
    assert_eq!(odd.1, "|/bin/false", "read, not run");
}

#[tokio::test]
async fn a_copy_of_an_instance_is_read_without_running_anything_and_without_leaving_it() {
    let copy = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = copy.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write(
        "postconf-n.txt",
        "base = /etc/postfix\nvirtual_alias_maps = hash:$base/virtual, texthash:/etc/postfix/text\n\
         alias_maps = hash:/etc/aliases\nmydestination = $myhostname\nmyhostname = mx.a.test\n\
         transport_maps = texthash:/etc/postfix/link\n",
    );
    write("postconf-M.txt", "archive unix - n n - - pipe flags=F user=a argv=/usr/bin/archive\n");
    write("postconf-P.txt", "smtp/inet/always_bcc = spy@b.test\n");
    write("etc/postfix/virtual", "a@a.test x@b.test\nb@a.test y@b.test\n");
    write("etc/postfix/virtual.postmap-s", "a@a.test\tx@b.test\n");
    write("etc/postfix/text", "t@a.test u@b.test\n");
    write("etc/aliases", "root: z@b.test\n");
    write("etc/passwd", "bob:x:1:1::/home/bob:/bin/sh\n");
    write("home/bob/.forward", "\\bob, eve@evil.test\n");
    write("home/bob/.forward+x", "|/bin/cat\n");
    std::os::unix::fs::symlink("/etc/shadow", copy.path().join("etc/postfix/link")).unwrap();
    let harvest = collect(&PostfixPlan::exported(copy.path())).await;
    assert_eq!(
        rows(&harvest, "virtual_alias_maps"),
        [
            row("a@a.test", "x@b.test", Some(1)),
            row("b@a.test", "y@b.test", Some(2)),
            row("t@a.test", "u@b.test", Some(1)),
        ]
    );
    assert_eq!(state(&harvest, "postfix.virtual_alias_maps").0, CoverageState::Collected);
    assert_eq!(rows(&harvest, "alias_maps"), [row("root", "z@b.test", Some(1))]);
    let (aliases, reason) = state(&harvest, "postfix.alias_maps");
    assert_eq!(aliases, CoverageState::Partial, "what is in force was not copied");
    assert!(reason.contains("/etc/aliases.postmap-s"), "{reason}");
    assert_eq!(
        rows(&harvest, "forward_path"),
        [row("bob", "\\bob, eve@evil.test", Some(1)), row("bob", "|/bin/cat", Some(1))]
    );
    let (transport, reason) = state(&harvest, "postfix.transport");
    assert_eq!(transport, CoverageState::Partial);
    assert!(reason.contains("/etc/postfix/link") && reason.contains("No such file"), "{reason}");
    let has = |wanted: &Fact| harvest.observations.iter().any(|seen| seen.fact == *wanted);
    assert!(has(&Fact::Parameter { name: "smtp/inet:always_bcc".into(), value: "spy@b.test".into() }));
    assert!(has(&Fact::Parameter {
        name: "master.cf/archive".into(),
        value: "pipe flags=F user=a argv=/usr/bin/archive".into()
    }));
    assert_eq!(state(&harvest, "postfix.queue").0, CoverageState::Unsupported);
}
