use std::collections::BTreeSet;
use std::time::Duration;

use mailwarden_evidence::{AclIdentifier, CoverageState, Fact, Observation, SYSTEM};
use mailwarden_lab::processor;
use proptest::prelude::*;

use super::closure::{Direction, closure};
use super::*;
use crate::testing::{covered, example_policy, judged, observed, run, script};

fn map(parameter: &str, table: &str, key: &str, result: &str) -> Observation {
    let surface = match parameter {
        "alias_maps" => "postfix.alias_maps",
        "virtual_alias_maps" => "postfix.virtual_alias_maps",
        "smtpd_sender_login_maps" => "postfix.sender_login_maps",
        _ => "postfix.bcc_maps",
    };
    let [parameter, table, key, result] = [parameter, table, key, result].map(str::to_owned);
    observed(SYSTEM, surface, Fact::MapEntry { parameter, table, key, result, line: Some(3), pending: false })
}

fn alias(key: &str, result: &str) -> Observation {
    map("virtual_alias_maps", "hash:/etc/postfix/virtual", key, result)
}

fn grant(mailbox: &str, folder: &str, identifier: &str, rights: &str) -> Observation {
    let negative = identifier.starts_with('-');
    let name = identifier.trim_start_matches('-').to_owned();
    let (folder, rights) = (folder.to_owned(), rights.to_owned());
    observed(
        mailbox,
        "imap.acl",
        Fact::AclEntry { folder, identifier: AclIdentifier::new(name, negative), rights },
    )
}

fn asked(seen: &[Observation], question: &Question) -> Reach {
    let tables =
        ["postfix.virtual_alias_maps", "postfix.alias_maps", "postfix.bcc_maps", "postfix.sender_login_maps"];
    let rows: Vec<_> = tables.map(|surface| (SYSTEM, surface, CoverageState::Collected)).to_vec();
    reach(&run(), &example_policy(), seen, &covered(&rows), question)
}

fn to(address: &str, seen: &[Observation]) -> Reach {
    asked(seen, &Question::Address(address.parse().unwrap()))
}

fn of_bob(seen: &[Observation]) -> Reach {
    let policy = example_policy();
    let bob = policy.people().iter().position(|person| person.name == "Bob Leaver").unwrap();
    asked(seen, &Question::Person(bob))
}

fn paths(ways: &[Way]) -> Vec<String> {
    ways.iter().map(|way| way.path.join(" -> ")).collect()
}

fn holds(ways: &[Way], path: &str) {
    assert!(paths(ways).iter().any(|known| known == path), "{path:?} is not in {:#?}", paths(ways));
}

fn holds_not(ways: &[Way], part: &str) {
    assert!(!paths(ways).iter().any(|known| known.contains(part)), "{part:?} is in {:#?}", paths(ways));
}

const ON_LINE_12: &str = "\n\n\n\n\n\n\n\n\n\n\nredirect \"bob@gmail.example\";\n";

#[test]
fn mail_is_followed_over_alias_and_script_to_the_outside() {
    let seen = [
        alias("sales@example.test", "bob@example.test"),
        script("bob@example.test", "main", true, ON_LINE_12),
    ];
    let answer = to("Sales@example.test", &seen);
    let path = "sales@example.test -> virtual alias -> bob@example.test -> Sieve redirect (line 12) -> \
                bob@gmail.example";
    holds(&answer.forward, path);
    let way = answer.forward.iter().find(|way| way.path.join(" -> ") == path).unwrap();
    assert_eq!((way.power, way.acting), (Power::ReceivesCopy, Acting::Now));
    let proven = |link: &&Link| matches!(link.proof, Proof::Observation { .. });
    assert_eq!(way.links.iter().filter(proven).count(), 4, "table twice, script twice: {:#?}", way.links);
    assert!(answer.people.contains(&"bob@gmail.example: Bob Leaver, left 2026-01-31".to_owned()));
    let answer = of_bob(&seen);
    holds(&answer.reverse, "sales@example.test -> virtual alias -> bob@example.test -> Bob Leaver");
    let outside = "bob@example.test -> Sieve redirect (line 12) -> bob@gmail.example -> Bob Leaver";
    holds(&answer.reverse, outside);
}

#[test]
fn a_finding_shows_the_way_of_the_graph_and_who_else_takes_it() {
    let seen = [
        alias("sales@example.test", "bob@example.test"),
        script("bob@example.test", "main", true, ON_LINE_12),
    ];
    let report = judged(&seen, &[]);
    let finding = report.findings.iter().find(|found| found.check_id == "sieve.redirect-external").unwrap();
    assert_eq!(finding.path, ["bob@example.test", "Sieve redirect (line 12)", "bob@gmail.example"]);
    assert!(finding.conditions.contains("mail to sales@example.test takes this way too"), "{finding:#?}");
    let seen = [
        script("jane@example.test", "main", true, "redirect \"bob@example.test\";"),
        script("bob@example.test", "main", true, ON_LINE_12),
    ];
    let report = judged(&seen, &[]);
    let finding = report.findings.iter().find(|found| found.mailbox == "jane@example.test").unwrap();
    assert_eq!(finding.path[..2], ["jane@example.test", "Sieve redirect (line 1)"]);
}

#[test]
fn a_cycle_hides_nothing() {
    let seen = [
        alias("a@example.test", "b@example.test"),
        alias("b@example.test", "a@example.test, c@example.test"),
        alias("c@example.test", "b@example.test, out@evil.example"),
    ];
    let ways = to("a@example.test", &seen).forward;
    holds(
        &ways,
        "a@example.test -> virtual alias -> b@example.test -> virtual alias -> c@example.test -> virtual alias \
         -> out@evil.example",
    );
    let loops: Vec<&Way> = ways.iter().filter(|way| way.is_loop).collect();
    assert_eq!(loops.len(), 2, "{:#?}", paths(&ways));
}

/// Aliases each to ten others.
fn tens(levels: u32, name: impl Fn(u32, u32) -> String, of: impl Fn(u32) -> u32) -> Vec<Observation> {
    let row = |level: u32, at: u32| {
        let targets: Vec<String> = (0..10).map(|n| name(level + 1, at * 10 + n)).collect();
        alias(&name(level, at), &targets.join(", "))
    };
    (0..levels).flat_map(|level| (0..of(level)).map(move |at| (level, at))).map(|(l, a)| row(l, a)).collect()
}

/// Ten aliases on each level that all name the ten of the next, and the last the first: a million paths, and round
/// again.
#[test]
fn a_million_paths_through_few_aliases_are_bounded_and_said() {
    let name = |level: u32, at: u32| format!("l{}n{}@example.test", level % 7, at % 10);
    let mut seen = tens(7, name, |_| 10);
    seen.push(alias("l6n9@example.test", "out@evil.example"));
    let reach = processor::within(Duration::from_secs(10), || to("l0n0@example.test", &seen));
    assert!(reach.forward.iter().any(|way| way.path.last().unwrap() == "out@evil.example"));
    assert!(reach.forward.len() <= closure::MAX_WAYS, "{}", reach.forward.len());
}

/// Six levels of ten: a hundred thousand aliases, a million addresses at their end, one of them outside.
#[test]
#[ignore = "slow: a graph of a million nodes, a quarter of a minute"]
fn a_million_addresses_behind_one_alias_are_bounded_and_said() {
    let name = |level: u32, at: u32| match (level, at) {
        (6, 0) => "out@evil.example".to_owned(),
        _ => format!("l{level}n{at}@example.test"),
    };
    let seen = tens(6, name, |level| 10_u32.pow(level));
    assert_eq!(seen.len(), 111_111);
    let reach = processor::within(Duration::from_secs(120), || to("l0n0@example.test", &seen));
    assert!(reach.forward.len() <= closure::MAX_WAYS && reach.left_out >= 900_000, "{}", reach.left_out);
}

#[test]
fn a_long_chain_has_an_end() {
    const LENGTH: usize = 3_000;
    let mut seen: Vec<Observation> = (0..LENGTH)
        .map(|n| alias(&format!("a{n}@example.test"), &format!("a{}@example.test", n + 1)))
        .collect();
    seen.push(alias(&format!("a{LENGTH}@example.test"), "out@evil.example"));
    let ways = to("a0@example.test", &seen).forward;
    assert!(ways.iter().any(|way| way.to == Node::address("out@evil.example")));
}

#[test]
fn two_ways_to_one_end_are_two_answers() {
    let seen = [
        alias("sales@example.test", "sales@example.test, x@evil.example"),
        script("sales@example.test", "main", true, "redirect :copy \"x@evil.example\"; keep;"),
    ];
    let ways = to("sales@example.test", &seen).forward;
    holds(&ways, "sales@example.test -> virtual alias -> x@evil.example");
    holds(&ways, "sales@example.test -> Sieve redirect (line 1) -> x@evil.example");
}

#[test]
fn inactive_scripts_and_replaced_mailboxes_say_that_they_do_not_act() {
    let seen = [
        alias("sales@example.test", "omar@example.test"),
        script("omar@example.test", "old", false, "redirect \"x@evil.example\";"),
    ];
    let ways = to("sales@example.test", &seen).forward;
    holds(
        &ways,
        "sales@example.test -> virtual alias -> omar@example.test -> Sieve redirect (line 1), not acting: \
         script \"old\" is inactive -> x@evil.example",
    );
    let own = ways.iter().find(|way| way.to == Node::mailbox("sales@example.test")).unwrap();
    assert_eq!(own.acting, Acting::Dormant, "{:#?}", own.path);
}

#[test]
fn tables_are_asked_as_postfix_asks_them() {
    let seen = [
        alias("@example.test", "catch@evil.example"),
        alias("omar@example.test", "omar@example.test"),
        map("virtual_alias_maps", "pcre:/p", "/^(.*)@old\\.test$/", "$1@example.test"),
        map("virtual_alias_maps", "pcre:/p", "/(?=x)y/", "z@evil.example"),
        map("recipient_bcc_maps", "hash:/b", "jane@example.test", "copy@evil.example"),
        map("sender_bcc_maps", "hash:/b", "jane@example.test", "sent@evil.example"),
        map("alias_maps", "hash:/etc/aliases", "root", "\"|/bin/tee /tmp/x\", /var/mail/x, :include:/l"),
        observed(
            SYSTEM,
            "postfix.bcc_maps",
            Fact::Parameter { name: "always_bcc".to_owned(), value: "all@evil.example".to_owned() },
        ),
    ];
    let ways = to("nobody@example.test", &seen).forward;
    holds(
        &ways,
        "nobody@example.test -> virtual alias for every address of example.test -> catch@evil.example",
    );
    holds(&ways, "all mail -> always_bcc -> all@evil.example");
    holds_not(&to("omar@example.test", &seen).forward, "catch@evil.example");
    holds(
        &to("omar+x@example.test", &seen).forward,
        "omar+x@example.test -> virtual alias -> omar@example.test",
    );
    let ways = to("jane@old.test", &seen).forward;
    holds_not(&ways, "not evaluated");
    assert!(paths(&ways).iter().any(|path| path.contains("copy@evil.example")), "{:#?}", paths(&ways));
    let answer = to("jane@example.test", &seen);
    holds(&answer.forward, "jane@example.test -> recipient bcc -> copy@evil.example");
    holds(&answer.forward, "mail from jane@example.test -> sender bcc -> sent@evil.example");
    assert!(answer.unknown.iter().any(|unknown| unknown.what.contains("(?=x)y")), "{:#?}", answer.unknown);
    let answer = to("root@example.test", &seen);
    let paths = paths(&answer.forward).join("\n");
    for end in ["program /bin/tee /tmp/x", "file /var/mail/x", "file /l"] {
        assert!(paths.contains(end), "{end}: {paths}");
    }
    assert!(
        answer.unknown.iter().any(|unknown| unknown.what == "who is listed in /l"),
        "{:#?}",
        answer.unknown
    );
}

#[test]
fn the_policys_own_routes_are_followed() {
    holds(
        &to("shop@saas.example.test", &[]).forward,
        "shop@saas.example.test -> route of the scope -> ops@example.test",
    );
    holds(
        &to("abuse@example.test", &[]).forward,
        "abuse@example.test -> required address -> ops@example.test",
    );
    holds(
        &to("offers@example.test", &[]).forward,
        "offers@example.test -> alias of the policy -> sales@example.test",
    );
    holds(
        &to("bob@example.test", &[]).forward,
        "bob@example.test -> successor of the leaver, if the gate's leaver rule is enforced -> jane@example.test",
    );
}

#[test]
fn a_person_reaches_what_is_granted_and_not_what_is_taken_away() {
    let engine = script("ops@example.test", "main", true, "keep;");
    let seen = [
        engine,
        grant("ops@example.test", "Secret", "bob@example.test", "lr"),
        grant("ops@example.test", "Open", "anyone", "lr"),
        grant("ops@example.test", "Closed", "anyone", "lr"),
        grant("ops@example.test", "Closed", "-bob@example.test", "r"),
        grant("ops@example.test", "Masked", "authenticated", "lr"),
        grant("ops@example.test", "Masked", "bob@example.test", "p"),
        grant("ops@example.test", "Team", "$crew", "lr"),
        grant("ops@example.test", "Admin", "bob@example.test", "a"),
    ];
    let answer = of_bob(&seen);
    let name = "bob@example.test -> Bob Leaver";
    holds(&answer.reverse, &format!("ops@example.test -> rights lr on folder \"Secret\" -> {name}"));
    holds(&answer.reverse, &format!("ops@example.test -> rights lr on folder \"Open\" -> {name}"));
    holds(&answer.reverse, &format!("ops@example.test -> rights a on folder \"Admin\" -> {name}"));
    holds_not(&answer.reverse, "Closed");
    holds_not(&answer.reverse, "Masked");
    assert!(answer.unknown.iter().any(|unknown| unknown.what.contains("crew")), "{:#?}", answer.unknown);
    let ways = to("ops@example.test", &seen).forward;
    holds(&ways, "ops@example.test -> rights lr on folder \"Team\" -> group \"crew\"");
    holds(&ways, "ops@example.test -> rights lr on folder \"Open\" -> anyone who connects");
    assert!(ways.iter().any(|way| way.power == Power::Reads && way.to == Node::login("bob@example.test")));
}

#[test]
fn what_was_not_looked_at_is_said() {
    let answer = to("sales@example.test", &[]);
    let what: Vec<&str> = answer.unknown.iter().map(|unknown| unknown.what.as_str()).collect();
    assert!(what.contains(&"managesieve.scripts of sales@example.test"), "{what:?}");
    let rows = [("sales@example.test", "imap.acl", CoverageState::Denied)];
    let question = Question::Address("sales@example.test".parse().unwrap());
    let answer = reach(&run(), &example_policy(), &[], &covered(&rows), &question);
    let said = answer.unknown.iter().map(|unknown| format!("{}: {}", unknown.what, unknown.why));
    let said: Vec<String> = said.collect();
    assert!(
        said.contains(&"imap.acl of sales@example.test: denied: refused; try again".to_owned()),
        "{said:?}"
    );
    assert!(said.iter().any(|line| line.starts_with("postfix.alias_maps of the mail system")), "{said:?}");
}

proptest! {
    /// Every link among what can be reached is in some way, and every node reached is on one: neither a cycle
    /// nor a shared node hides anything.
    #[test]
    fn every_link_that_can_be_reached_is_in_an_answer(
        links in proptest::collection::vec((0_u8..12, 0_u8..12), 0..40)
    ) {
        let seen: Vec<Observation> = (0..12_u8)
            .map(|from| {
                let to = links.iter().filter(|link| link.0 == from).map(|link| format!("n{}@example.test", link.1));
                alias(&format!("n{from}@example.test"), &to.collect::<Vec<_>>().join(", "))
            })
            .collect();
        let policy = example_policy();
        let run = run();
        let brief = crate::brief::Brief { run: &run, policy: &policy, observations: &seen, coverage: &[] };
        let builder = Builder::of(&brief);
        let graph = builder.graph();
        let root = graph.find(&Node::address("n0@example.test")).unwrap();
        for direction in [Direction::Forwards, Direction::Backwards] {
            let is_leaf = |graph: &Graph, at: usize| match direction {
                Direction::Forwards => graph.leaving[at].is_empty(),
                Direction::Backwards => graph.arriving[at].is_empty(),
            };
            let found = closure(graph, &[root], direction, |_| true, is_leaf);
            let told: BTreeSet<(usize, usize)> =
                found.ways.iter().flat_map(|way| &way.links).map(|link| (link.from, link.to)).collect();
            for at in found.reached {
                let links = if direction == Direction::Forwards { &graph.leaving[at] } else { &graph.arriving[at] };
                for &link in links {
                    let link = &graph.links[link];
                    prop_assert!(told.contains(&(link.from, link.to)), "{:?}", graph.nodes[link.to]);
                }
            }
        }
    }
}

#[test]
fn who_may_send_as_an_address_is_in_both_answers() {
    let seen = [
        map(
            "smtpd_sender_login_maps",
            "hash:/s",
            "sales@example.test",
            "sales@example.test, bob@example.test",
        ),
        map("smtpd_sender_login_maps", "hash:/s", "@example.test", "app"),
    ];
    let answer = to("sales@example.test", &seen);
    let own = "mail from sales@example.test -> sender login map for sales@example.test -> bob@example.test";
    holds(&answer.forward, own);
    holds(&answer.forward, "mail from @example.test -> sender login map for @example.test -> app");
    holds_not(&answer.forward, "-> sales@example.test");
    let way = answer.forward.iter().find(|way| way.path.join(" -> ") == own).unwrap();
    assert_eq!(way.power, Power::SendsAs);
    holds(&of_bob(&seen).reverse, &format!("{own} -> Bob Leaver"));
}

#[test]
fn a_master_user_logs_in_as_everybody() {
    let database = "/etc/dovecot/masters".to_owned();
    let master = |login: &str| Fact::MasterUser {
        login: login.to_owned(),
        database: database.clone(),
        ours: false,
        services: vec![],
    };
    let seen = [observed(SYSTEM, "dovecot.credentials", master("bob@example.test"))];
    let answer = of_bob(&seen);
    holds(
        &answer.reverse,
        "jane@example.test -> master user of /etc/dovecot/masters -> bob@example.test -> Bob Leaver",
    );
    let way = answer.reverse.iter().find(|way| way.path[0] == "jane@example.test").unwrap();
    assert!(way.links.iter().any(|link| link.power == Power::LogsInAs), "{way:#?}");
}

#[test]
fn the_members_of_a_group_are_known_where_the_user_database_was_asked() {
    let member = |login: &str, groups: &[&str]| {
        let groups = groups.iter().map(|group| (*group).to_owned()).collect();
        observed(login, "imap.acl", Fact::Membership { login: login.to_owned(), groups })
    };
    let account = |login: &str| observed(login, "account", Fact::Account { login: login.to_owned() });
    let shared = [
        script("ops@example.test", "main", true, "keep;"),
        grant("ops@example.test", "Plans", "$staff", "lr"),
        grant("ops@example.test", "Plans", "-omar@example.test", "r"),
    ];
    let unknown =
        |answer: &Reach| answer.unknown.iter().any(|unknown| unknown.what.contains("group \"staff\""));
    assert!(unknown(&of_bob(&shared)));
    let mut seen = shared.to_vec();
    for login in ["ops@example.test", "bob@example.test", "omar@example.test"] {
        seen.push(account(login));
    }
    seen.extend([member("bob@example.test", &["staff"]), member("omar@example.test", &["staff"])]);
    assert!(unknown(&of_bob(&seen)), "nobody asked about ops");
    seen.push(member("ops@example.test", &[]));
    let answer = of_bob(&seen);
    assert!(!unknown(&answer), "{:#?}", answer.unknown);
    holds(
        &answer.reverse,
        "ops@example.test -> rights lr on folder \"Plans\" as a member of group \"staff\" -> bob@example.test -> \
         Bob Leaver",
    );
    let to_ops = to("ops@example.test", &seen).forward;
    holds_not(&to_ops, "rights lr on folder \"Plans\" as a member of group \"staff\" -> omar@example.test");
}
