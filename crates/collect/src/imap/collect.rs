//! The IMAP surfaces of one mailbox, and the judgement whether they were seen at all.

use mailwarden_evidence::{AclIdentifier, CoverageState, Fact};

use super::session::{AclFound, Answer, Folder, ImapSession, MetadataFound};
use crate::apart::apart;
use crate::harvest::{Place, named};
use crate::{CollectError, Credentials, Dialer, Harvest};

/// The surfaces this collector covers, one row each for every mailbox.
pub const SURFACES: [&str; 4] = [ACCOUNT, ACL, METADATA, URLAUTH];
/// The annotation that makes a script run when mail is stored (RFC 6785 section 2.2.1). It is asked for by
/// its exact name: Dovecot leaves the server's own annotations out of an answer with DEPTH infinity.
pub const METADATA_ENTRY: &str = "/shared/imapsieve/script";
/// Where Dovecot keeps the key of a folder's signed URLs (RFC 4467); it exists once a URL was signed.
const URLAUTH_ENTRY: &str = "/private/vendor/vendor.dovecot/imap-urlauth";
/// All annotations asked for. After the standard one: its private twin, which no server runs; the script that
/// Cyrus runs for a shared mailbox; the subscription of Dovecot's push notifications.
const ENTRIES: [&str; 5] = [
    METADATA_ENTRY,
    "/private/imapsieve/script",
    "/shared/vendor/cmu/cyrus-imapd/sieve",
    "/private/vendor/vendor.dovecot/http-notify",
    URLAUTH_ENTRY,
];

const ACCOUNT: &str = "account";
const ACL: &str = "imap.acl";
const METADATA: &str = "imap.metadata";
const URLAUTH: &str = "imap.urlauth";
/// Longest annotation value kept, in bytes; the rest of it changes no judgement about a script's name.
const MAX_VALUE: usize = 4096;

/// Looks at the account, folder grants and annotations of one mailbox.
///
/// An error means that nothing was learned and the attempt as a whole may be repeated; whatever goes wrong
/// later stands in the coverage. The work is done in a task of its own, so that a panic in a library on
/// bytes of the server ends this connection only.
pub async fn collect(
    dialer: &Dialer,
    credentials: &Credentials,
    mailbox: &str,
) -> Result<Harvest, CollectError> {
    let talk = |dialer: Dialer, credentials: Credentials, mailbox: String| async move {
        look(&dialer, &credentials, &mailbox).await
    };
    apart((dialer, credentials, mailbox), "reading answers", talk).await
}

/// Logs in and leaves at once.
///
/// # Errors
/// [`CollectError::Denied`] where the server refuses; anything else proves nothing.
pub async fn try_login(
    dialer: &Dialer,
    credentials: &Credentials,
    mailbox: &str,
) -> Result<(), CollectError> {
    let talk = |dialer: Dialer, credentials: Credentials, mailbox: String| async move {
        ImapSession::open(&dialer, &credentials, &mailbox).await?.close().await;
        Ok(())
    };
    apart((dialer, credentials, mailbox), "logging in", talk).await
}

async fn look(dialer: &Dialer, credentials: &Credentials, mailbox: &str) -> Result<Harvest, CollectError> {
    let mut session = ImapSession::open(dialer, credentials, mailbox).await?;
    let source = dialer.label();
    let folders = session.list_folders().await?;
    let own: Vec<Folder> = folders.iter().filter(|folder| folder.is_own).cloned().collect();
    let mut harvest = Harvest::default();

    let foreign: Vec<Folder> = folders.iter().filter(|folder| !folder.is_own).cloned().collect();
    let view = View::of(&mut session, &own).await?;
    let at = |surface: &'static str| Place { mailbox, surface, source };
    report_account(&mut harvest, &at(ACCOUNT), &view);
    if view.rights.is_some() {
        let rights = session.my_rights(&foreign).await?;
        report_shared(&mut harvest, &at(ACL), &foreign, &rights);
    }
    let default_domain = dialer.server().default_domain.as_deref();
    report_acl(&mut harvest, &at(ACL), &view, &own, (&credentials.master_user, default_domain));
    let particulars = session.particulars().await.unwrap_or_default();
    let is_dovecot = particulars.iter().any(|(_, value)| value.contains("name=Dovecot"));
    for (name, value) in particulars {
        let excerpt = format!("{name}: {value}");
        harvest.observe(&at(ACCOUNT), Fact::Setting { name, value }, excerpt.as_bytes(), &excerpt);
    }
    let signing = Signing { announced: session.capabilities().contains("URLAUTH"), is_dovecot };
    match metadata_of(&mut session, &own).await {
        Ok(answers) => {
            report_metadata(&mut harvest, &at(METADATA), &view, &answers, &credentials.master_user);
            report_urlauth(&mut harvest, &at(URLAUTH), &view, &answers, signing);
        }
        Err(error) => {
            for surface in [METADATA, URLAUTH] {
                harvest.cover(&at(surface), error.coverage_state(), error.to_string());
            }
        }
    }
    session.close().await;
    Ok(harvest)
}

/// What the session may see, asked before anything it shows is believed.
struct View {
    /// Rights on each own folder, INBOX first; `None` where the server has no access control lists.
    rights: Option<Vec<Answer<String>>>,
    /// The list of each own folder; empty without access control lists.
    acls: Vec<Answer<AclFound>>,
    /// Whether INBOX opens; only asked where the rights do not settle it.
    inbox: Option<Answer<()>>,
    only_inbox: bool,
}

impl View {
    async fn of(session: &mut ImapSession, own: &[Folder]) -> Result<Self, CollectError> {
        let has_acl = session.capabilities().contains("ACL");
        let rights = if has_acl { Some(session.my_rights(own).await?) } else { None };
        let acls = if has_acl { session.get_acls(own).await? } else { Vec::new() };
        let mut view = Self { rights, acls, inbox: None, only_inbox: own.len() == 1 };
        if !view.administers_inbox() {
            view.inbox = Some(session.inbox_status().await?);
        }
        Ok(view)
    }

    fn administers_inbox(&self) -> bool {
        matches!(self.rights_on_inbox(), Some(Answer::Given(rights)) if rights.contains('a'))
    }

    fn rights_on_inbox(&self) -> Option<&Answer<String>> {
        self.rights.as_ref().and_then(|rights| rights.first())
    }

    /// Whether what is shown may be the master user's view instead of the owner's: with Dovecot's acl
    /// plugin a master user keeps the master's own rights, none, and an account full of grants looks empty
    /// and clean.
    fn is_blind(&self) -> bool {
        self.rights.is_some() && !self.administers_inbox() && (self.only_inbox || self.every_acl_refused())
    }

    fn every_acl_refused(&self) -> bool {
        self.acls.iter().all(|answer| matches!(answer, Answer::Refused(_)))
    }
}

fn blind_reason(view: &View, master: &str) -> String {
    let said = match view.rights_on_inbox() {
        Some(Answer::Refused(refusal)) => format!("MYRIGHTS INBOX: {refusal}"),
        Some(Answer::Given(rights)) => format!("its rights on INBOX are only `{rights}`"),
        _ => "MYRIGHTS INBOX got no readable answer".to_owned(),
    };
    format!(
        "the server shows {master} its own view and not the owner's ({said}), so grants may be hidden: with \
         Dovecot's acl plugin a master user has the master's rights; set `plugin {{ acl_user = %u }}` on the \
         server (or the owner has taken administration away from INBOX: see `doveadm acl get`) and run again"
    )
}

fn report_account(harvest: &mut Harvest, place: &Place<'_>, view: &View) {
    if view.administers_inbox() || matches!(view.inbox, Some(Answer::Given(()))) {
        let excerpt = format!("login on behalf of {} works and INBOX opens", place.mailbox);
        let fact = Fact::Account { login: place.mailbox.to_owned() };
        harvest.observe(place, fact, excerpt.as_bytes(), &excerpt);
        return harvest.cover(place, CoverageState::Collected, "");
    }
    let said = match &view.inbox {
        Some(Answer::Refused(refusal)) => refusal.to_string(),
        _ => "no readable answer".to_owned(),
    };
    let reason = format!(
        "login works but INBOX does not open ({said}), so it is unknown whether the mailbox exists: a static \
         user database lets anybody in; see `doveadm user {}`",
        place.mailbox
    );
    harvest.cover(place, CoverageState::Denied, reason);
}

fn report_acl(
    harvest: &mut Harvest,
    place: &Place<'_>,
    view: &View,
    own: &[Folder],
    (master, default_domain): (&str, Option<&str>),
) {
    if view.rights.is_none() {
        let reason = "the server does not announce ACL (RFC 4314), so folders cannot be shared over IMAP";
        return harvest.cover(place, CoverageState::Unsupported, reason);
    }
    for (folder, answer) in own.iter().zip(&view.acls) {
        if let Answer::Given(found) = answer {
            observe_acl(harvest, place, folder, found, default_domain);
        }
    }
    if view.is_blind() {
        return harvest.cover(place, CoverageState::Denied, blind_reason(view, master));
    }
    cover_by_gaps(harvest, place, &gaps(own, &view.acls), "GETACL");
}

/// Folders of others that this mailbox is shown: what it can reach. Those the server refuses to name rights
/// for are placeholders of the hierarchy.
fn report_shared(harvest: &mut Harvest, place: &Place<'_>, folders: &[Folder], rights: &[Answer<String>]) {
    for (folder, answer) in folders.iter().zip(rights) {
        if let Answer::Given(rights) = answer {
            let excerpt = format!("{}: {} has {rights}", folder.name, place.mailbox);
            let fact = Fact::SharedFolder { folder: folder.name.clone(), rights: rights.clone() };
            harvest.observe(place, fact, excerpt.as_bytes(), &excerpt);
        }
    }
}

fn observe_acl(
    harvest: &mut Harvest,
    place: &Place<'_>,
    folder: &Folder,
    found: &AclFound,
    default_domain: Option<&str>,
) {
    for (identifier, rights) in &found.entries {
        let identifier = identifier_of(identifier, default_domain);
        let rights = String::from_utf8_lossy(rights).into_owned();
        let sign = if identifier.negative { "-" } else { "" };
        let excerpt = format!("{}: {sign}{} {rights}", folder.name, identifier.name);
        let fact = Fact::AclEntry { folder: folder.name.clone(), identifier, rights };
        harvest.observe(place, fact, &found.raw, &excerpt);
    }
}

/// A leading minus takes rights away (RFC 4314 section 2).
fn identifier_of(wire: &[u8], default_domain: Option<&str>) -> AclIdentifier {
    let text = String::from_utf8_lossy(wire);
    let (name, negative) = match text.strip_prefix('-') {
        Some(name) => (name, true),
        None => (text.as_ref(), false),
    };
    let login = default_domain.and_then(|domain| login_meant(name, negative, domain));
    AclIdentifier { login, ..AclIdentifier::new(name, negative) }
}

/// Whom Cyrus means with a default domain: it leaves that domain out of a login's name. It does so with an entry
/// that gives rights before it stores it; one that takes rights away is stored as it came, and with the domain
/// in it fits nobody.
fn login_meant(name: &str, negative: bool, domain: &str) -> Option<String> {
    let is_login = !matches!(name, "anyone" | "anonymous" | "authenticated" | "owner")
        && !name.starts_with("group:")
        && !name.starts_with('$');
    match name.rsplit_once('@') {
        None => is_login.then(|| format!("{name}@{domain}")),
        Some((_, own)) => (negative && own.eq_ignore_ascii_case(domain)).then(String::new),
    }
}

/// The folders whose answer is missing, each with the reason. A placeholder in the hierarchy has no folder
/// behind it, so that it does not exist is no gap.
fn gaps<T>(folders: &[Folder], answers: &[Answer<T>]) -> Vec<String> {
    let gap = |(folder, answer): (&Folder, &Answer<T>)| {
        let name = if folder.wire.is_empty() { "(server)" } else { &folder.name };
        match answer {
            Answer::Given(_) => None,
            Answer::Refused(refusal) if folder.is_placeholder && refusal.has_code("NONEXISTENT") => None,
            Answer::Refused(refusal) => Some(format!("{name} ({refusal})")),
            Answer::Unreadable(cause) => Some(format!("{name} ({cause})")),
        }
    };
    folders.iter().zip(answers).filter_map(gap).collect()
}

fn cover_by_gaps(harvest: &mut Harvest, place: &Place<'_>, gaps: &[String], command: &str) {
    if gaps.is_empty() {
        return harvest.cover(place, CoverageState::Collected, "");
    }
    let reason = format!(
        "{command} gave no answer for {} of the folders: {}; look at them on the mail host",
        gaps.len(),
        named(gaps)
    );
    harvest.cover(place, CoverageState::Partial, reason);
}

/// The annotation of the server and of each own folder; `None` where the server has none.
type Annotations = Option<(Vec<Folder>, Vec<Answer<MetadataFound>>)>;

async fn metadata_of(session: &mut ImapSession, own: &[Folder]) -> Result<Annotations, CollectError> {
    let (all, server_only) = {
        let known = session.capabilities();
        (known.contains("METADATA"), known.contains("METADATA-SERVER"))
    };
    if !all && !server_only {
        return Ok(None);
    }
    let server = Folder { wire: Vec::new(), name: String::new(), is_placeholder: false, is_own: true };
    let mut asked = vec![server];
    asked.extend(own.iter().filter(|_| all).cloned());
    let answers = session.get_metadata(&asked, &ENTRIES).await?;
    Ok(Some((asked, answers)))
}

fn report_metadata(
    harvest: &mut Harvest,
    place: &Place<'_>,
    view: &View,
    annotations: &Annotations,
    master: &str,
) {
    let Some((folders, answers)) = annotations else {
        let reason = "the server does not announce METADATA (RFC 5464), so folders carry no annotations";
        return harvest.cover(place, CoverageState::Unsupported, reason);
    };
    observe_annotations(harvest, place, folders, answers, |entry| entry != URLAUTH_ENTRY);
    if view.is_blind() {
        return harvest.cover(place, CoverageState::Denied, blind_reason(view, master));
    }
    cover_by_gaps(harvest, place, &gaps(folders, answers), "GETMETADATA");
}

fn observe_annotations(
    harvest: &mut Harvest,
    place: &Place<'_>,
    folders: &[Folder],
    answers: &[Answer<MetadataFound>],
    wanted: impl Fn(&str) -> bool,
) {
    for (folder, answer) in folders.iter().zip(answers) {
        let Answer::Given(found) = answer else { continue };
        for (entry, value) in found.values.iter().filter(|(entry, _)| wanted(entry)) {
            // Whoever has the key can sign URLs: that it exists is all that anybody needs to know.
            let value = match entry.as_str() {
                URLAUTH_ENTRY => "(a key)".to_owned(),
                _ => String::from_utf8_lossy(&value[..value.len().min(MAX_VALUE)]).into_owned(),
            };
            let excerpt = format!("{entry} of `{}`: {value}", folder.name);
            let fact = Fact::Metadata { folder: folder.name.clone(), entry: entry.clone(), value };
            harvest.observe(place, fact, &found.raw, &excerpt);
        }
    }
}

/// What a server says of signed URLs.
#[derive(Clone, Copy)]
struct Signing {
    announced: bool,
    /// Whether it is Dovecot, which alone shows its keys: others, such as Cyrus, answer the question for them
    /// with nothing.
    is_dovecot: bool,
}

/// Signed URLs cannot be listed, but Dovecot's key of a folder exists only once a URL was signed, and shows as
/// an annotation. Version 2.4 signs them without announcing that it can.
fn report_urlauth(
    harvest: &mut Harvest,
    place: &Place<'_>,
    view: &View,
    annotations: &Annotations,
    signing: Signing,
) {
    let Some((folders, answers)) = annotations else { return report_hidden_keys(harvest, place, signing) };
    observe_annotations(harvest, place, folders, answers, |entry| entry == URLAUTH_ENTRY);
    if view.is_blind() {
        let reason = "the session does not see the folders as their owner does, see imap.acl";
        return harvest.cover(place, CoverageState::Denied, reason);
    }
    match signing.announced && !signing.is_dovecot {
        true => report_hidden_keys(harvest, place, signing),
        false => cover_by_gaps(harvest, place, &gaps(folders, answers), "GETMETADATA"),
    }
}

fn report_hidden_keys(harvest: &mut Harvest, place: &Place<'_>, signing: Signing) {
    if signing.announced {
        let reason = "the server signs URLs (RFC 4467) and does not show for which folders; RESETKEY makes \
                      every signed URL void";
        return harvest.cover(place, CoverageState::Partial, reason);
    }
    let reason = "the server announces neither URLAUTH (RFC 4467) nor METADATA, so it signs no URLs";
    harvest.cover(place, CoverageState::Unsupported, reason);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Cyrus 3.6 with `defaultdomain: example.test` stores and enforces them.
    #[test]
    fn logins_without_the_default_domain_mean_those_of_it() {
        let login = |wire: &str| identifier_of(wire.as_bytes(), Some("example.test")).login;
        assert_eq!(login("bob").as_deref(), Some("bob@example.test"));
        assert_eq!(login("-bob").as_deref(), Some("bob@example.test"));
        assert_eq!(login("-bob@example.test").as_deref(), Some(""), "it fits nobody");
        for as_written in ["bob@other.test", "-bob@other.test", "anyone", "-anyone", "group:staff", "$staff"]
        {
            assert_eq!(login(as_written), None, "{as_written}");
        }
        assert_eq!(identifier_of(b"bob", None), AclIdentifier::new("bob", false));
    }
}
