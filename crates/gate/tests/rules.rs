//! The rules one by one, each in its three modes: enforced it acts, observing it records, off it is silent.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use mailwarden_address::{Address, EnvelopeRecipient, EnvelopeSender};
use mailwarden_gate::{
    Action, Decision, Edit, Facts, Lesson, Memory, MessageHeaders, Mode, Modes, Moment, NoticeKind, Path,
    Remembered, Rule, SenderLogins, Session, TAG_HEADER, Verdict, decide, explain,
};
use mailwarden_policy::{Policy, Source};
use proptest::prelude::*;

const EXAMPLE: &str = include_str!("../../../config/policy/example.toml");
const MORE: &str = r#"
[[scope]]
domain = "*.clients.example.test"
deliver_to = "sales@example.test"

[[scope]]
domain = "named.example.test"
deliver_to = "ops@example.test"
accept = "pattern"
patterns = ["shop-*"]
unknown = "hold"
unexpected_sender = "hold"

[[scope]]
domain = "tagged.example.test"
deliver_to = "ops@example.test"
accept = "registered"
unknown = "tag"
unexpected_sender = "refuse"

[[scope]]
domain = "small.example.test"
deliver_to = "ops@example.test"
new_per_hour = 2
flood_reply = "ask us for an address"

[[vendor]]
address = "news-*@saas.example.test"
organisation = "All newsletters"
deliver_to = "sales@example.test"

[[vendor]]
address = "news-burnt-*@saas.example.test"
organisation = "Newsletters that leaked"
state = "burned"

[[vendor]]
address = "news-1@saas.example.test"
organisation = "News One"
deliver_to = "jane@example.test"

[[vendor]]
address = "news-burnt-1@saas.example.test"
organisation = "News One again"

[[vendor]]
address = "strict@tagged.example.test"
organisation = "Strict Ltd"
sender_domains = ["strict.example"]
"#;

fn policy_with(more: &str) -> Policy {
    let text = format!("{EXAMPLE}{MORE}{more}");
    Policy::compile(&[Source::new("p.toml", text.as_bytes())]).expect("valid").0
}

/// A memory that a test writes down.
#[derive(Debug, Default)]
struct Notebook {
    vendors: HashMap<Address, Remembered>,
    newcomers: Vec<Address>,
}

impl Notebook {
    fn hears(mut self, vendor: &str, organisation: &str, expected: bool) -> Self {
        let remembered = Remembered::of(std::iter::once((organisation, expected)), false);
        let known = self.vendors.entry(address(vendor)).or_default();
        known.organisations.extend(remembered.organisations);
        self
    }
}

impl Memory for Notebook {
    fn vendor(&self, address: &Address) -> Option<Remembered> {
        self.vendors.get(address).cloned()
    }

    fn is_newcomer(&self, _scope: &str, address: &Address, _now: DateTime<Utc>) -> bool {
        self.newcomers.contains(address)
    }

    fn newcomers(&self, _scope: &str, _now: DateTime<Utc>) -> u32 {
        u32::try_from(self.newcomers.len()).expect("few")
    }
}

fn address(text: &str) -> Address {
    Address::parse(text).expect("address")
}

struct Mail {
    policy: Policy,
    modes: Modes,
    session: Session,
    sender: &'static str,
    memory: Notebook,
    logins: SenderLogins,
    now: DateTime<Utc>,
}

impl Default for Mail {
    fn default() -> Self {
        Self {
            policy: policy_with(""),
            modes: Modes::default(),
            session: Session::default(),
            sender: "<someone@vendor.test>",
            memory: Notebook::default(),
            logins: SenderLogins::default(),
            now: "2026-01-01T00:00:00Z".parse().expect("time"),
        }
    }
}

fn login(name: &str) -> Session {
    Session { login: Some(name.to_owned()), ..Session::default() }
}

fn own_host() -> Session {
    Session { is_own_host: true, ..Session::default() }
}

fn local() -> Session {
    Session { path: Path::Local, is_own_host: true, ..Session::default() }
}

impl Mail {
    fn rcpt(&self, to: &str) -> Decision {
        self.decide(Moment::Recipient(&EnvelopeRecipient::read(to.as_bytes(), None)))
    }

    fn message(&self, to: &[&str], fields: &[(&str, &str)]) -> Decision {
        let recipients: Vec<_> = to.iter().map(|to| EnvelopeRecipient::read(to.as_bytes(), None)).collect();
        let mut headers = MessageHeaders::default();
        headers.push(b"Subject", b"x");
        fields.iter().for_each(|(name, value)| headers.push(name.as_bytes(), value.as_bytes()));
        self.decide(Moment::Message { recipients: &recipients, headers: &headers })
    }

    fn decide(&self, moment: Moment<'_>) -> Decision {
        let envelope_sender = EnvelopeSender::read(self.sender.as_bytes(), None);
        let facts = Facts {
            session: &self.session,
            envelope_sender: &envelope_sender,
            moment,
            memory: &self.memory,
            sender_logins: &self.logins,
        };
        let decision = decide(&self.policy, &self.modes, &facts, self.now);
        let explained = explain(&self.policy, &self.modes, &facts, self.now);
        assert!(decision.trace.is_empty(), "nobody asked for a trace");
        assert!(!explained.trace.is_empty() || explained.reasons.is_empty());
        let without_trace = |decision: &Decision| {
            let mut untraced = decision.clone();
            untraced.trace.clear();
            format!("{untraced:?}")
        };
        assert_eq!(
            without_trace(&decision).replace("is_traced: false", ""),
            without_trace(&explained).replace("is_traced: true", ""),
            "an explanation is the decision"
        );
        decision
    }
}

const FROM_VENDOR: [(&str, &str); 1] = [("From", "News <news@vendor.test>")];

fn from(value: &str) -> [(&str, &str); 1] {
    [("From", value)]
}

fn refused_by(decision: &Decision) -> Option<(Rule, u16)> {
    decision.refusal().map(|refusal| (refusal.rule, refusal.code))
}

fn added(decision: &Decision) -> Vec<String> {
    let added = |edit: &Edit| match edit {
        Edit::AddRecipient { address, .. } => Some(address.to_string()),
        _ => None,
    };
    decision.edits.iter().filter_map(added).collect()
}

fn tags(decision: &Decision) -> Vec<&str> {
    let tag = |edit| match edit {
        &Edit::InsertHeader { name: TAG_HEADER, ref value } => Some(value.as_str()),
        _ => None,
    };
    decision.edits.iter().filter_map(tag).collect()
}

fn is_held(decision: &Decision) -> bool {
    decision.edits.iter().any(|edit| matches!(edit, Edit::Hold { .. }))
}

fn notices(decision: &Decision) -> Vec<(NoticeKind, &str)> {
    decision.notices.iter().map(|notice| (notice.kind, notice.object.as_str())).collect()
}

// --- every rule in every mode ------------------------------------------------------------------------------------

/// Mail to which exactly this rule applies, once every rule but this one is off.
fn case_of(rule: Rule) -> (Mail, &'static str, Vec<(&'static str, &'static str)>) {
    let mail = Mail::default();
    let vendor = FROM_VENDOR.to_vec();
    match rule {
        Rule::RequiredAddress => (mail, "<abuse@example.test>", vendor),
        Rule::ReceiveOnly => (mail, "<jane@example.test>", vec![("From", "vault@example.test")]),
        Rule::SenderIdentity => {
            let session = login("omar@example.test");
            (Mail { session, ..mail }, "<x@vendor.test>", vec![("From", "jane@example.test")])
        }
        Rule::Leaver => {
            let now = "2026-06-01T00:00:00Z".parse().expect("time");
            (Mail { now, ..mail }, "<bob@example.test>", vendor)
        }
        Rule::VendorState => (mail, "<new@tagged.example.test>", vendor),
        Rule::Backscatter => {
            let fields = vec![("From", "MAILER-DAEMON@mx.other.test")];
            (Mail { sender: "<>", ..mail }, "<acme@saas.example.test>", fields)
        }
        Rule::VendorBinding => (mail, "<strict@tagged.example.test>", vendor),
        Rule::LiveRedirect => {
            let fields = vec![("X-Sieve-Redirected-From", "sales@example.test"), FROM_VENDOR[0]];
            (Mail { session: own_host(), ..mail }, "<bob@gmail.example>", fields)
        }
        Rule::Route => (mail, "<shop@saas.example.test>", vendor),
    }
}

fn only(rule: Rule, mode: Mode) -> Modes {
    let of = |other| if other == rule { mode } else { Mode::Off };
    Modes {
        required_address: of(Rule::RequiredAddress),
        receive_only: of(Rule::ReceiveOnly),
        sender_identity: of(Rule::SenderIdentity),
        leaver: of(Rule::Leaver),
        vendor_state: of(Rule::VendorState),
        backscatter: of(Rule::Backscatter),
        vendor_binding: of(Rule::VendorBinding),
        live_redirect: of(Rule::LiveRedirect),
        route: of(Rule::Route),
    }
}

#[test]
fn every_rule_acts_records_or_is_silent_as_its_mode_says() {
    for rule in Rule::ALL {
        let (mail, to, fields) = case_of(rule);
        let judge = |mode| {
            let modes = only(rule, mode);
            let (again, _, _) = case_of(rule);
            Mail { modes, ..again }.message(&[to], &fields)
        };
        drop(mail);
        let enforced = judge(Mode::Enforce);
        let acts = !enforced.is_accepted() || !enforced.edits.is_empty() || !enforced.notices.is_empty();
        assert!(acts, "{} enforced: {enforced:?}", rule.id());
        assert!(enforced.reasons.iter().all(|reason| (reason.rule, reason.mode) == (rule, Mode::Enforce)));

        let observed = judge(Mode::Observe);
        assert!(
            observed.verdict == Verdict::Accept && observed.edits.is_empty(),
            "{}: {observed:?}",
            rule.id()
        );
        let actions = |decision: &Decision| decision.reasons.iter().map(|r| r.action).collect::<Vec<_>>();
        assert_eq!(actions(&observed), actions(&enforced), "{} says what it would have done", rule.id());
        assert!(observed.reasons.iter().all(|reason| (reason.rule, reason.mode) == (rule, Mode::Observe)));
        assert!(!observed.reasons.is_empty(), "{}", rule.id());

        let off = judge(Mode::Off);
        assert!(
            off.is_accepted() && off.edits.is_empty() && off.reasons.is_empty(),
            "{}: {off:?}",
            rule.id()
        );
    }
}

// --- route and vendor-state --------------------------------------------------------------------------------------

#[test]
fn a_tombstone_beats_an_exact_record_beats_a_pattern_beats_the_catch_all() {
    let mail = Mail::default();
    for (to, reaches) in [
        ("news-1@saas.example.test", "jane@example.test"),
        ("NEWS-2@saas.example.test", "sales@example.test"),
        ("anything@saas.example.test", "ops@example.test"),
        ("x@acme.clients.example.test", "sales@example.test"),
        ("x@deep.acme.clients.example.test", "sales@example.test"),
    ] {
        assert!(mail.rcpt(to).is_accepted(), "{to}");
        assert_eq!(added(&mail.message(&[to], &FROM_VENDOR)), [reaches], "{to}");
    }
    for burnt in ["news-burnt-1@saas.example.test", "news-burnt-2@saas.example.test"] {
        assert_eq!(refused_by(&mail.rcpt(burnt)), Some((Rule::VendorState, 550)), "{burnt}");
    }
    let wildcard_itself = mail.message(&["x@clients.example.test"], &FROM_VENDOR);
    assert!(added(&wildcard_itself).is_empty(), "the star stands for something");
    let author = mail.message(&["jane@example.test"], &from("x@acme.clients.example.test"));
    assert_eq!(refused_by(&author), Some((Rule::ReceiveOnly, 550)));
}

#[test]
fn what_a_scope_does_not_know_is_held_or_tagged_as_it_says() {
    let mail = Mail::default();
    for to in ["other@named.example.test", "other@tagged.example.test"] {
        assert!(mail.rcpt(to).is_accepted(), "{to}");
    }
    let held = mail.message(&["other@named.example.test"], &FROM_VENDOR);
    assert!(is_held(&held));
    assert_eq!(notices(&held), [(NoticeKind::Held, "named.example.test")]);
    let taken = mail.message(&["Shop-7@named.example.test"], &FROM_VENDOR);
    assert!(!is_held(&taken) && tags(&taken).is_empty(), "{taken:?}");
    let tagged = mail.message(&["other@tagged.example.test"], &FROM_VENDOR);
    assert_eq!(
        tags(&tagged),
        ["vendor-state; <other@tagged.example.test> is not registered with any vendor"]
    );
}

#[test]
fn more_new_local_parts_than_a_scope_takes_are_refused_and_known_ones_are_not() {
    let newcomers = vec![address("a@small.example.test"), address("b@small.example.test")];
    let mut memory = Notebook { newcomers, ..Notebook::default() };
    memory.vendors.insert(address("old@small.example.test"), Remembered::default());
    let mail = Mail { memory, ..Mail::default() };
    let refused = mail.rcpt("c@small.example.test");
    assert_eq!(refused_by(&refused), Some((Rule::VendorState, 450)));
    assert!(refused.refusal().is_some_and(|refusal| refusal.text == "ask us for an address"));
    assert_eq!(notices(&refused), [(NoticeKind::FloodBegan, "small.example.test")]);
    for known in ["old@small.example.test", "A@small.example.test"] {
        assert!(mail.rcpt(known).is_accepted(), "{known}");
    }
    let first = Mail::default().rcpt("c@small.example.test");
    let (scope, address) = ("small.example.test".to_owned(), address("c@small.example.test"));
    assert_eq!(first.lessons, [Lesson::NewLocalPart { scope, address }]);
}

// --- sender-identity ---------------------------------------------------------------------------------------------

#[test]
fn a_login_writes_in_its_own_name_and_in_those_it_was_given() {
    let by = |login_name: &str, fields: &[(&str, &str)]| {
        let mail = Mail { session: login(login_name), ..Mail::default() };
        refused_by(&mail.message(&["x@vendor.test"], fields)).map(|(rule, _)| rule)
    };
    let refused = Some(Rule::SenderIdentity);
    for (login_name, author) in [
        ("omar@example.test", "Omar <OMAR@example.test>"),
        ("omar@example.test", "ops@example.test"),
        ("omar", "omar@example.test"),
        ("omar", "ops@example.test"),
        ("sales@example.test", "offers@example.test"),
        ("offers@example.test", "sales@example.test"),
        ("stranger@elsewhere.test", "stranger@elsewhere.test"),
        ("stranger", "nobody-on-record@example.test"),
    ] {
        assert_eq!(by(login_name, &from(author)), None, "{login_name} as {author}");
    }
    for (login_name, author) in [
        ("omar@example.test", "jane@example.test"),
        ("omar@example.test", "sales@example.test"),
        ("omar@example.test", "omar@elsewhere.test"),
        ("omar@example.test", "omar@example.test, jane@example.test"),
        ("omar", "jane@example.test"),
        ("stranger@elsewhere.test", "jane@example.test"),
        ("stranger", "jane@example.test"),
    ] {
        assert_eq!(by(login_name, &from(author)), refused, "{login_name} as {author}");
    }
    let on_behalf = [("From", "omar@example.test"), ("Sender", "jane@example.test")];
    assert_eq!(by("omar@example.test", &on_behalf), refused);
    let resent = [("From", "author@vendor.test"), ("Resent-From", "omar@example.test")];
    assert_eq!(by("omar@example.test", &resent), None, "RFC 5322 3.6.6");
    let pretended = [("From", "jane@example.test"), ("Resent-From", "omar@example.test")];
    assert_eq!(by("omar@example.test", &pretended), refused);
}

#[test]
fn postfixs_own_table_gives_logins_more_addresses() {
    let mut logins = SenderLogins::default();
    logins.add("sales@example.test omar@example.test\n@example.test admin\n").expect("good");
    let as_author = |name: &str, author: &str| {
        let mail = Mail { session: login(name), logins: logins.clone(), ..Mail::default() };
        mail.message(&["x@vendor.test"], &from(author)).is_accepted()
    };
    assert!(as_author("omar@example.test", "sales@example.test"));
    assert!(as_author("admin", "anybody@example.test"));
    assert!(!as_author("admin", "sales@example.test"), "the whole address is asked for first");
    assert!(!as_author("admin", "x@elsewhere.test"), "the table names this login, and not for that");
}

#[test]
fn our_own_senders_name_one_author_that_can_be_read() {
    let bad: [&[(&str, &str)]; 6] = [
        &[],
        &[("From", "")],
        &[("From", "omar@example.test"), ("From", "omar@example.test")],
        &[("From", "Omar <omar@example.test")],
        &[("From", "omar @ example.test")],
        &[("From", "MAILER-DAEMON")],
    ];
    for session in [login("omar@example.test"), local()] {
        for fields in bad {
            let mail = Mail { session: session.clone(), ..Mail::default() };
            let rule = refused_by(&mail.message(&["x@vendor.test"], fields));
            assert_eq!(rule, Some((Rule::SenderIdentity, 550)), "{fields:?} {session:?}");
        }
    }
    let bounce = Mail { session: local(), sender: "<>", ..Mail::default() };
    assert!(bounce.message(&["ops@example.test"], &from("MAILER-DAEMON")).is_accepted());
}

#[test]
fn a_display_name_that_pretends_to_be_another_address_of_ours_is_tagged() {
    let pretends = from("\"jane@example.test\" <x@evil.test>");
    let mentions = from("\"jane@example.test via Desk\" <desk@helpdesk.test>");
    let outside = Mail::default();
    assert_eq!(
        tags(&outside.message(&["sales@example.test"], &pretends)),
        ["sender-identity; the display name shows <jane@example.test>, which is not the author"]
    );
    assert!(tags(&outside.message(&["sales@example.test"], &mentions)).is_empty());
    for harmless in ["\"x@evil.test\" <x@evil.test>", "\"jane@example.test\" <JANE@example.test>"] {
        assert!(tags(&outside.message(&["sales@example.test"], &from(harmless))).is_empty(), "{harmless}");
    }
    let own = Mail { session: login("omar@example.test"), ..Mail::default() };
    let as_jane = from("\"jane@example.test on behalf\" <omar@example.test>");
    assert_eq!(tags(&own.message(&["x@vendor.test"], &as_jane)).len(), 1);
    let with = |action: &str| {
        let text = EXAMPLE.replace("[client]\n", &format!("[client]\nshown_address = \"{action}\"\n"));
        let policy = Policy::compile(&[Source::new("p.toml", text.as_bytes())]).expect("valid").0;
        Mail { policy, ..Mail::default() }.message(&["sales@example.test"], &pretends)
    };
    assert!(is_held(&with("hold")));
    assert_eq!(refused_by(&with("refuse")), Some((Rule::SenderIdentity, 550)));
    assert!(with("ignore").edits.is_empty());
}

#[test]
fn tags_that_the_message_brought_along_are_removed_before_ours_are_added() {
    let fields = [("From", "\"jane@example.test\" <x@evil.test>"), ("mailwarden-tag", "clean")];
    let decision = Mail::default().message(&["sales@example.test"], &fields);
    assert_eq!(decision.edits[0], Edit::RemoveHeaders { name: TAG_HEADER, count: 1 });
    assert_eq!(tags(&decision).len(), 1);
}

// --- backscatter -------------------------------------------------------------------------------------------------

#[test]
fn a_bounce_to_who_never_sends_is_refused_and_a_notification_is_not() {
    let null = || Mail { sender: "<>", ..Mail::default() };
    let report = "multipart/report; report-type=delivery-status; boundary=x";
    let bounces: [&[(&str, &str)]; 4] = [
        &[("From", "Mail System <MAILER-DAEMON@mx.other.test>")],
        &[("From", "postmaster@other.test")],
        &[("From", "x@other.test"), ("Content-Type", report)],
        &[("From", "x@other.test"), ("X-Failed-Recipients", "y@other.test")],
    ];
    for fields in bounces {
        for to in ["acme@saas.example.test", "vault@example.test"] {
            let rule = refused_by(&null().message(&[to], fields));
            assert_eq!(rule, Some((Rule::Backscatter, 550)), "{to} {fields:?}");
        }
        assert!(null().message(&["jane@example.test"], fields).is_accepted(), "she does send: {fields:?}");
        assert!(null().message(&["abuse@saas.example.test"], fields).is_accepted(), "a required address");
        let sent = Mail::default().message(&["acme@saas.example.test"], fields);
        assert!(sent.is_accepted(), "no bounce has a sender: {fields:?}");
    }
    assert!(null().message(&["acme@saas.example.test"], &from("no-reply@acme.example")).is_accepted());
    let both = null().message(&["acme@saas.example.test", "jane@example.test"], bounces[0]);
    assert!(both.is_accepted() && !tags(&both).is_empty(), "nobody's bounce is lost: {both:?}");
}

// --- vendor-binding ----------------------------------------------------------------------------------------------

#[test]
fn the_first_organisation_that_writes_is_the_vendor_and_the_next_is_news_once() {
    let to = ["bookshop@saas.example.test"];
    let first = Mail::default().message(&to, &from("orders@mail.bookshop.example"));
    let heard = |organisation: &str, is_expected| Lesson::Heard {
        address: address(to[0]),
        registered: false,
        organisations: vec![organisation.parse().expect("domain")],
        is_expected,
    };
    assert_eq!(first.lessons, [heard("bookshop.example", true)]);
    assert!(first.notices.is_empty() && tags(&first).is_empty());

    let memory = || Notebook::default().hears(to[0], "bookshop.example", true);
    let same = Mail { memory: memory(), ..Mail::default() };
    let same = same.message(&to, &from("news@bookshop.example"));
    assert!(same.notices.is_empty() && tags(&same).is_empty());

    let leaked = Mail { memory: memory(), ..Mail::default() }.message(&to, &from("win@spam.example"));
    assert_eq!(notices(&leaked), [(NoticeKind::UnexpectedSender, "saas.example.test")]);
    assert!(leaked.notices[0].text.contains("given to whoever was given bookshop, hears from spam.example"));
    assert_eq!(tags(&leaked), ["vendor-binding; <bookshop@saas.example.test> never dealt with spam.example"]);
    assert_eq!(leaked.lessons, [heard("spam.example", false)]);

    let again = Mail { memory: memory().hears(to[0], "spam.example", false), ..Mail::default() };
    let again = again.message(&to, &from("win@spam.example"));
    assert!(again.notices.is_empty(), "known, and still not expected");
    assert_eq!(tags(&again).len(), 1);
}

#[test]
fn declared_sender_domains_count_and_the_policy_says_what_others_get() {
    let declared = |author: &str| Mail::default().message(&["acme@saas.example.test"], &from(author));
    assert!(tags(&declared("x@billing.acme.example")).is_empty());
    let leaked = declared("x@notacme.example");
    assert_eq!(notices(&leaked), [(NoticeKind::UnexpectedSender, "acme@saas.example.test")]);
    assert!(leaked.notices[0].text.contains("given to Acme Inc"), "{:?}", leaked.notices);
    assert_eq!(tags(&leaked).len(), 1);

    let strict = ["strict@tagged.example.test"];
    let refused = Mail::default().message(&strict, &from("x@spam.example"));
    assert_eq!(refused_by(&refused), Some((Rule::VendorBinding, 550)));
    assert_eq!(refused.lessons.len(), 1, "who was refused is remembered, or every attempt would be news");
    let together = [strict[0], "jane@example.test"];
    let held = Mail::default().message(&together, &from("x@spam.example"));
    assert!(held.is_accepted() && is_held(&held), "jane's copy is not refused with it: {held:?}");

    let memory = Notebook::default().hears("shop-1@named.example.test", "shop.example", true);
    let held = Mail { memory, ..Mail::default() };
    assert!(is_held(&held.message(&["shop-1@named.example.test"], &from("x@spam.example"))));
}

#[test]
fn our_own_people_do_not_become_the_vendor() {
    let decision = Mail { session: login("omar@example.test"), ..Mail::default() }
        .message(&["bookshop@saas.example.test"], &from("omar@example.test"));
    assert!(decision.lessons.is_empty() && decision.notices.is_empty(), "{decision:?}");
}

// --- leaver ------------------------------------------------------------------------------------------------------

#[test]
fn a_leavers_mail_reaches_whoever_is_left_and_the_ledger_has_to_know() {
    let later: DateTime<Utc> = "2026-06-01T00:00:00Z".parse().expect("time");
    let mail = Mail { now: later, ..Mail::default() };
    let contained = mail.message(&["bob@example.test"], &FROM_VENDOR);
    assert_eq!(added(&contained), ["jane@example.test"]);
    assert_eq!(notices(&contained), [(NoticeKind::Contained, "bob@example.test")]);
    let submitted = Mail { session: login("bob@example.test"), now: later, ..Mail::default() };
    let refused = submitted.rcpt("x@vendor.test");
    assert_eq!(refused_by(&refused), Some((Rule::Leaver, 550)));
    assert_eq!(notices(&refused), [(NoticeKind::Contained, "bob@example.test")]);

    let without_successor = |more: &str| {
        let text = EXAMPLE.replace("successor = \"jane@example.test\"\n", "");
        let text = more
            .split(';')
            .filter_map(|change| change.split_once("=>"))
            .fold(text, |text, (a, b)| text.replace(a, b));
        let policy = Policy::compile(&[Source::new("p.toml", text.as_bytes())]).expect("valid").0;
        Mail { policy, now: later, ..Mail::default() }.message(&["bob@example.test"], &FROM_VENDOR)
    };
    assert_eq!(added(&without_successor("")), ["jane@example.test"], "the owner of the mailbox");
    let owner_left = "roles = [\"client-owner\"]=>roles = [\"client-owner\"]\nleft = 2026-01-01";
    assert_eq!(added(&without_successor(owner_left)), ["erik@example.test"], "who stands in for the owner");
    let erik = "addresses = [\"erik@example.test\"]";
    let nobody = without_successor(&format!("{owner_left};{erik}=>{erik}\nleft = 2026-01-01"));
    assert!(is_held(&nobody) && added(&nobody).is_empty(), "nobody is left to read it: {nobody:?}");
}

#[test]
fn a_successor_who_has_left_as_well_is_passed_over() {
    let more = "[[person]]\nname = \"Kim\"\naddresses = [\"kim@example.test\"]\nleft = 2026-01-01\n\
                successor = \"bob@example.test\"\n";
    let policy = policy_with(more);
    let now = "2026-06-01T00:00:00Z".parse().expect("time");
    let decision = Mail { policy, now, ..Mail::default() }.message(&["kim@example.test"], &FROM_VENDOR);
    assert_eq!(added(&decision), ["jane@example.test"]);
}

// --- live-redirect -----------------------------------------------------------------------------------------------

#[test]
fn a_live_redirect_is_recorded_and_held_for_a_leaver_or_where_the_policy_says_so() {
    let fields = |mailbox| [("X-Sieve-Redirected-From", mailbox), FROM_VENDOR[0]];
    let to = ["bob@gmail.example"];
    let ours = Mail { session: own_host(), ..Mail::default() };
    let recorded = ours.message(&to, &fields("sales@example.test"));
    assert_eq!(notices(&recorded), [(NoticeKind::LiveRedirect, "sales@example.test")]);
    assert!(recorded.edits.is_empty());
    assert_eq!(recorded.reasons[0].action, Action::Record);

    let strange = Mail::default().message(&to, &fields("sales@example.test"));
    assert!(strange.notices.is_empty(), "only our own hosts may say so");
    let inside = ours.message(&["ops@example.test"], &fields("sales@example.test"));
    assert!(inside.notices.is_empty());
    let approved = ours.message(&["copy@archive.example"], &fields("sales@example.test"));
    assert!(approved.notices.is_empty());

    let now = "2026-06-01T00:00:00Z".parse().expect("time");
    let leaver = Mail { session: own_host(), now, ..Mail::default() };
    let held = leaver.message(&to, &fields("bob@example.test"));
    assert!(is_held(&held));
    assert_eq!(
        notices(&held),
        [(NoticeKind::LiveRedirect, "bob@example.test"), (NoticeKind::Held, "bob@example.test")]
    );
    let strict = policy_with(
        "[[mailbox]]\naddress = \"kim@example.test\"\nkind = \"human\"\nlive_redirect = \"hold\"\n",
    );
    let strict = Mail { policy: strict, session: own_host(), ..Mail::default() };
    assert!(is_held(&strict.message(&to, &fields("kim@example.test"))));
}

// --- recipients --------------------------------------------------------------------------------------------------

#[test]
fn a_bare_recipient_of_sendmail_is_deleted_in_both_spellings() {
    let mail = Mail { session: local(), ..Mail::default() };
    let deleted = |decision: &Decision| {
        let spelling = |edit: &Edit| match edit {
            Edit::DeleteRecipient { delete_as } => Some(String::from_utf8_lossy(delete_as).into_owned()),
            _ => None,
        };
        decision.edits.iter().filter_map(spelling).collect::<Vec<_>>()
    };
    let alone = mail.message(&["postmaster@example.test"], &from("omar@example.test"));
    assert_eq!(deleted(&alone), ["postmaster@example.test", "postmaster"]);
    let to = ["postmaster@example.test", "postmaster@vendor.test"];
    let beside = mail.message(&to, &from("omar@example.test"));
    assert_eq!(deleted(&beside), ["postmaster@example.test"], "the other one must not go");
    let scope = mail.message(&["shop@saas.example.test"], &from("omar@example.test"));
    assert_eq!(deleted(&scope), ["shop@saas.example.test"], "no scope is where bare names belong");
}

fn recipient() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "ops@example.test",
        "OPS@example.test",
        "jane@example.test",
        "sales@example.test",
        "bob@example.test",
        "postmaster@example.test",
        "postmaster",
        "abuse@saas.example.test",
        "news-1@saas.example.test",
        "x@vendor.test",
    ]);
    prop_oneof![
        3 => known.prop_map(str::to_owned),
        2 => "[a-zA-Z][a-zA-Z0-9.+-]{0,6}[a-z]@saas\\.example\\.test\\.?".prop_filter("a dot pair", |text| !text.contains("..")),
        1 => "@r\\.test:[a-z]{1,4}@SAAS\\.example\\.test",
        1 => "\"[a-z ]{1,6}\"@saas\\.example\\.test",
        1 => "[a-z]{1,5}@[a-z]{1,4}\\.clients\\.example\\.test",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nobody_is_lost_and_nobody_is_added_twice(to in prop::collection::vec(recipient(), 1..12), late in any::<bool>()) {
        let now = if late { "2026-06-01T00:00:00Z" } else { "2026-01-01T00:00:00Z" };
        let mail = Mail { now: now.parse().expect("time"), ..Mail::default() };
        let raw: Vec<String> = to.iter().map(|to| format!("<{to}>")).collect();
        let raw: Vec<&str> = raw.iter().map(String::as_str).collect();
        let decision = mail.message(&raw, &FROM_VENDOR);
        prop_assert!(decision.is_accepted());
        let recipients: Vec<_> = raw.iter().map(|to| EnvelopeRecipient::read(to.as_bytes(), None)).collect();
        let deleted: Vec<&[u8]> = decision.edits.iter().filter_map(|edit| match edit {
            Edit::DeleteRecipient { delete_as } => Some(&**delete_as),
            _ => None,
        }).collect();
        let staying: Vec<_> = recipients.iter().filter(|r| !deleted.contains(&&*r.delete_as)).collect();
        let added = added(&decision);
        prop_assert!(!staying.is_empty() || !added.is_empty(), "everybody was deleted");
        for (at, address) in added.iter().enumerate() {
            prop_assert!(!added[..at].contains(address), "{} twice", address);
            let present = staying.iter().any(|r| r.address.as_ref().is_some_and(|a| a.to_string() == *address));
            prop_assert!(!present, "{} was a recipient already", address);
        }
        // Nothing stays in a scope: there is no mailbox.
        let in_scope = |r: &&&EnvelopeRecipient| {
            r.address.as_ref().is_some_and(|a| mail.policy.scope(a.domain()).is_some())
        };
        prop_assert_eq!(staying.iter().filter(in_scope).count(), 0);
    }

    /// Wherever a receive-only address stands in a From, but for the name of a well-formed mailbox, it is refused.
    #[test]
    fn a_receive_only_address_passes_in_a_name_only(
        before in "[a-z <>()\",:;@.\\\\=?]{0,10}",
        after in "[a-z <>()\",:;@.\\\\=?]{0,10}",
        hidden in prop::sample::select(vec!["vault@example.test", "acme@saas.example.test", "<vault@example.test>"]),
    ) {
        let value = format!("{before} {hidden} {after}");
        let decision = Mail::default().message(&["jane@example.test"], &from(&value));
        let reading = mailwarden_address::read_address_header("From", value.as_bytes());
        let named = matches!(&reading.verdict, mailwarden_address::Verdict::One(one)
            if one.to_string() != hidden.trim_matches(['<', '>']));
        prop_assert_eq!(decision.is_accepted(), named, "{:?} {:?}", value, reading);
        if named {
            let quoted = value.contains('"') || value.trim_end().ends_with(')');
            prop_assert!(quoted, "{:?} is no name", value);
        }
    }
}
