//! Good and bad policies: what is understood, and how a mistake is shown.

use mailwarden_address::{Address, Domain};
use mailwarden_policy::{Diagnostic, Policy, ReceiveOnly, Recipient, Source, VendorState, render};

const EXAMPLE: &str = include_str!("../../../config/policy/example.toml");

fn address(text: &str) -> Address {
    Address::parse(text).expect("test address")
}

fn compile(text: &str) -> Result<(Policy, Vec<Diagnostic>), Vec<Diagnostic>> {
    Policy::compile(&[Source::new("client.toml", text.as_bytes())])
}

fn example() -> Policy {
    let (policy, warnings) = compile(EXAMPLE).unwrap_or_else(|bad| panic!("{}", render(&bad, false)));
    assert!(warnings.is_empty(), "{}", render(&warnings, false));
    policy
}

fn only_error(text: &[u8]) -> Diagnostic {
    let mut errors = Policy::compile(&[Source::new("client.toml", text)]).expect_err("a bad policy");
    assert_eq!(errors.len(), 1, "{}", render(&errors, false));
    errors.remove(0)
}

fn example_with(addition: &str) -> String {
    format!("{EXAMPLE}\n{addition}")
}

#[test]
fn exact_vendor_beats_the_scope_it_lies_in() {
    let policy = example();
    let Recipient::Vendor(vendor, scope) = policy.recipient(&address("BURNT@Saas.Example.test")) else {
        panic!("the vendor's record must win")
    };
    assert_eq!(vendor.state, VendorState::Burned);
    assert_eq!(policy.vendor_route(vendor, scope), &address("ops@example.test"));
    assert!(matches!(policy.recipient(&address("anything@saas.example.test")), Recipient::InScope(_)));
    assert!(matches!(policy.recipient(&address("offers@example.test")), Recipient::Mailbox(_)));
    assert!(matches!(policy.recipient(&address("x@elsewhere.test")), Recipient::Unknown));
}

#[test]
fn receive_only_covers_scopes_and_what_lies_below_them() {
    let policy = example();
    let saas = Domain::parse("saas.example.test").expect("domain");
    for sender in ["x@saas.example.test", "x@deep.below.saas.example.test"] {
        assert_eq!(policy.receive_only(&address(sender)), Some(ReceiveOnly::Scope(&saas)), "{sender}");
    }
    let vault = address("vault@example.test");
    assert_eq!(policy.receive_only(&address("Vault@EXAMPLE.test")), Some(ReceiveOnly::Mailbox(&vault)));
    assert_eq!(policy.receive_only(&address("jane@example.test")), None);
    assert_eq!(policy.receive_only(&address("x@notsaas.example.test")), None);
}

#[test]
fn required_addresses_have_a_queue_on_every_domain_and_scope() {
    let policy = example();
    let ops = address("ops@example.test");
    for name in ["example.test", "saas.example.test"] {
        assert_eq!(policy.admin_queue(&Domain::parse(name).expect("domain")), Some(&ops));
    }
    assert_eq!(policy.admin_queue(&Domain::parse("other.test").expect("domain")), None);
}

#[test]
fn unknown_key_names_place_and_what_to_write() {
    let error = only_error(
        example_with("[[mailbox]]\naddress = \"a@example.test\"\nkind = \"role\"\nrecieve_only = true\n")
            .as_bytes(),
    );
    assert_eq!(error.id, "config.unknown-key");
    let shown = render(std::slice::from_ref(&error), false);
    assert!(shown.contains("write `receive_only` instead"), "{shown}");
    assert!(shown.contains("recieve_only = true"), "{shown}");
    let line = EXAMPLE.lines().count() + 5;
    assert_eq!(error.location(), format!("client.toml:{line}:1"));
}

#[test]
fn scope_without_mailbox_is_refused() {
    let missing = only_error(example_with("[[scope]]\ndomain = \"x.example.test\"\n").as_bytes());
    assert_eq!(missing.id, "config.missing-key");
    assert!(missing.help.contains("deliver_to"), "{}", missing.help);
    for nowhere in ["nobody@example.test", "ops@elsewhere.test", "x@saas.example.test"] {
        let text =
            example_with(&format!("[[scope]]\ndomain = \"x.example.test\"\ndeliver_to = \"{nowhere}\"\n"));
        assert_eq!(only_error(text.as_bytes()).id, "policy.no-such-mailbox", "{nowhere}");
    }
}

#[test]
fn duplicates_point_at_both_places() {
    let text = example_with("[[mailbox]]\naddress = \"Vault@example.test\"\nkind = \"role\"\n");
    let error = only_error(text.as_bytes());
    assert_eq!(error.id, "policy.duplicate-address");
    assert!(render(&[error], false).contains("first used here"));
    let error = only_error(
        example_with("[[domain]]\nname = \"SAAS.example.test\"\nprofile = \"parked\"\n").as_bytes(),
    );
    assert_eq!(error.id, "policy.duplicate-domain");
}

#[test]
fn duplicates_across_files_name_the_other_file() {
    let sources = [Source::new("a.toml", EXAMPLE.as_bytes()), Source::new("b.toml", EXAMPLE.as_bytes())];
    let errors = Policy::compile(&sources).expect_err("everything twice");
    let shown = render(&errors, false);
    assert!(shown.contains("b.toml:") && shown.contains("a.toml:"), "{shown}");
}

#[test]
fn bytes_that_are_not_utf8_are_located() {
    let mut text = EXAMPLE.as_bytes().to_vec();
    text.extend_from_slice(b"# caf\xe9\n");
    let error = only_error(&text);
    assert_eq!(error.id, "config.not-utf8");
    assert_eq!(error.location(), format!("client.toml:{}:6", EXAMPLE.lines().count() + 1));
}

#[test]
fn vendor_outside_any_scope_and_mailbox_inside_one_are_refused() {
    let text = example_with("[[vendor]]\naddress = \"v@example.test\"\norganisation = \"V\"\n");
    assert_eq!(only_error(text.as_bytes()).id, "policy.vendor-outside-scope");
    let text = example_with("[[mailbox]]\naddress = \"m@saas.example.test\"\nkind = \"role\"\n");
    assert_eq!(only_error(text.as_bytes()).id, "policy.mailbox-in-scope");
}

#[test]
fn reply_text_must_fit_an_smtp_line() {
    for bad in ["", "line\\nbreak", "caf\u{e9}"] {
        let text = example_with(&format!(
            "[[vendor]]\naddress = \"v@saas.example.test\"\norganisation = \"V\"\nreply = \"{bad}\"\n"
        ));
        assert_eq!(only_error(text.as_bytes()).id, "policy.bad-reply", "{bad:?}");
    }
}

#[test]
fn a_time_without_offset_is_refused() {
    let text = example_with(
        "[[mailbox]]\naddress = \"t@example.test\"\nkind = \"role\"\nlast_reviewed = 2026-01-01T10:00:00\n",
    );
    assert!(only_error(text.as_bytes()).message.contains("offset"));
}

#[test]
fn digest_changes_with_the_text_and_only_then() {
    let again = example();
    assert_eq!(example().digest(), again.digest());
    let (changed, _) = compile(&example_with("# a comment\n")).expect("still valid");
    assert_ne!(changed.digest(), again.digest());
}

#[test]
fn scopes_and_vendors_say_more_only_in_words_that_are_known() {
    let scope = |more: &str| {
        example_with(&format!(
            "[[scope]]\ndomain = \"more.example.test\"\ndeliver_to = \"ops@example.test\"\n{more}\n"
        ))
    };
    for (more, id, place) in [
        ("accept = \"pattern\"", "policy.patterns", 2),
        ("patterns = [\"shop-*\"]", "policy.patterns", 4),
        ("accept = \"pattern\"\npatterns = [\"shop\"]", "policy.bad-pattern", 5),
        ("accept = \"pattern\"\npatterns = [\"a*@b\"]", "policy.bad-pattern", 5),
        ("new_per_hour = 0", "policy.bad-limit", 4),
        ("new_per_hour = 1000000", "policy.bad-limit", 4),
        ("new_per_hour = \"many\"", "config.syntax", 4),
        ("unknown = \"reject\"", "config.unknown-value", 4),
        ("unknown_reply = \"two\\nlines\"", "policy.bad-reply", 4),
        ("flood_reply = \"\"", "policy.bad-reply", 4),
        ("unexpected_sender = \"drop\"", "config.unknown-value", 4),
        ("unexpected = \"tag\"", "config.unknown-key", 4),
    ] {
        let error = only_error(scope(more).as_bytes());
        assert_eq!(error.id, id, "{more}: {}", error.message);
        assert!(!error.help.is_empty(), "{more}");
        let line = EXAMPLE.lines().count() + 1 + place;
        assert!(
            error.location().starts_with(&format!("client.toml:{line}:")),
            "{more}: {}",
            error.location()
        );
    }
    let (policy, _) =
        compile(&scope("accept = \"pattern\"\npatterns = [\"shop-*\"]\nnew_per_hour = 7")).expect("valid");
    let more = policy.scope(&Domain::parse("more.example.test").expect("domain")).expect("the scope");
    assert_eq!(more.new_per_hour, Some(7));
    assert!(more.takes_unregistered(&address("SHOP-1@more.example.test")));
    assert!(!more.takes_unregistered(&address("other@more.example.test")));
}

#[test]
fn a_wildcard_scope_is_every_name_below_that_nobody_else_has() {
    let wildcard = "[[scope]]\ndomain = \"*.example.test\"\ndeliver_to = \"ops@example.test\"\n\
                    [[domain]]\nname = \"mail.example.test\"\nprofile = \"sending\"\n\
                    admin_queue = \"ops@example.test\"\n";
    let (policy, _) = compile(&example_with(wildcard)).expect("valid");
    let scope =
        |name: &str| policy.scope(&Domain::parse(name).expect("domain")).map(mailwarden_policy::Scope::name);
    for name in ["acme.example.test", "deep.acme.example.test"] {
        assert_eq!(scope(name).as_deref(), Some("*.example.test"), "{name}");
        assert!(policy.receive_only(&address(&format!("x@{name}"))).is_some(), "{name}");
    }
    assert_eq!(scope("saas.example.test").as_deref(), Some("saas.example.test"), "the nearest record counts");
    for name in
        ["example.test", "mail.example.test", "x.mail.example.test", "x.saas.example.test", "elsewhere.test"]
    {
        assert_eq!(scope(name), None, "{name}");
    }
    assert_eq!(policy.receive_only(&address("jane@example.test")), None);
    assert_eq!(policy.receive_only(&address("jane@mail.example.test")), None);
    let twice = example_with(&format!(
        "{wildcard}[[scope]]\ndomain = \"*.EXAMPLE.test\"\ndeliver_to = \"ops@example.test\"\n"
    ));
    assert_eq!(only_error(twice.as_bytes()).id, "policy.duplicate-domain");
    for bad in ["*.", "*.a..b", "*.*.example.test"] {
        let text =
            example_with(&format!("[[scope]]\ndomain = \"{bad}\"\ndeliver_to = \"ops@example.test\"\n"));
        assert_eq!(only_error(text.as_bytes()).id, "policy.bad-domain", "{bad}");
    }
}

#[test]
fn a_login_may_write_as_what_the_policy_gives_it() {
    let policy = example();
    let may = |login: &str, author: &str| policy.may_write_as(&address(login), &address(author));
    for (login, author) in [
        ("omar@example.test", "OMAR@example.test"),
        ("omar@example.test", "ops@example.test"),
        ("offers@example.test", "sales@example.test"),
        ("sales@example.test", "offers@example.test"),
    ] {
        assert!(may(login, author), "{login} {author}");
    }
    for (login, author) in [
        ("omar@example.test", "jane@example.test"),
        ("jane@example.test", "ops@example.test"),
        ("bob@example.test", "bob@gmail.example"),
        ("ops@example.test", "omar@example.test"),
    ] {
        assert!(!may(login, author), "{login} {author}");
    }
}
