//! Every check, as data: what it says, why that matters, and when it is innocent. Identifiers are never reused.

use std::fmt::Write as _;
use std::sync::LazyLock;

use mailwarden_evidence::{Tier, surface};

/// One check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Check {
    /// Stable identifier.
    pub id: &'static str,
    /// The surface it is made on.
    pub surface: &'static str,
    /// What it says.
    pub what: &'static str,
    /// Why it matters.
    pub why: &'static str,
    /// When it is innocent.
    pub innocent: &'static str,
}

macro_rules! checks {
    ($($id:literal $surface:literal $what:literal $why:literal $innocent:literal)*) => {
        /// Those of mailboxes and of the mail system.
        const OF_MAIL: &[Check] = &[$(Check {
            id: $id, surface: $surface, what: $what, why: $why, innocent: $innocent,
        }),*];
    };
}

checks! {
    "account.leaver-login" "account.state"
    "Somebody who has left may still log in, by every service or by one that was forgotten."
    "An account that is locked for IMAP alone still sends by SMTP, fetches by POP3 and stores scripts by ManageSieve."
    "None: lock the account in every service."
    "account.leaver-sasl" "postfix.sasl"
    "Somebody who has left is in a password database that only sending asks."
    "Locking the mailbox does not touch it: they go on sending as the organisation."
    "None: delete the login from the database."
    "account.locked-receives" "account.state"
    "An account may not log in, and mail for it is still delivered."
    "Its rules still run and forward, and nobody reads what arrives."
    "A mailbox that is kept for the record; route its mail to whoever follows."
    "account.master-user" "dovecot.credentials"
    "A login may act for every mailbox."
    "It reads everything, and no mailbox shows that it did."
    "An archive or a backup; its password belongs to a named team."
    "account.missing" "account"
    "The policy names a mailbox that the server does not list."
    "Somebody is held responsible for something that is not there, and mail to it bounces or goes elsewhere."
    "The mailbox lives on another server."
    "account.probe-accepted" "account.probe"
    "An account that ought to be closed was opened by a login that the sweep tried."
    "What the configuration says is not what the server does: a cache, a second database or a service that nobody thought of."
    "A master user that is let in where only the password was taken away; close the account itself."
    "account.shared-home" "account.aliasing"
    "A second login opens the same mail."
    "It has a password of its own, which nobody resets."
    "A renamed account whose old name is kept for a while."
    "account.unregistered" "account"
    "The server has a mailbox that no policy names."
    "Nobody owns it, nobody reviews it, and nobody would miss its password."
    "A technical account; register it with an owner."
    "acl.grant-anyone" "imap.acl"
    "A folder is open to everybody, or to everybody who can log in."
    "Any stolen password reads it, and no list of readers exists."
    "A public folder that is meant to be one."
    "acl.grant-global" "imap.acl"
    "A server-wide entry opens a folder to a login that no policy names."
    "It holds for all mailboxes and no owner can remove it."
    "The login of an archive, or of this sweep."
    "acl.grant-group" "imap.acl"
    "A folder is open to the members of a group."
    "Who is in the group is kept outside the mailbox, so the list of readers changes without a trace here."
    "A team that is meant to read it; accept it once the members are reviewed."
    "acl.grant-internal" "imap.acl"
    "A person of ours can open a folder without being an authorised user of the mailbox."
    "Access that nobody approved outlives the reason for it."
    "Holiday cover; register it as authorised or give it an end."
    "acl.grant-leaver" "imap.acl"
    "Somebody who has left can still open a folder."
    "It works with any credential of theirs that was forgotten, and again when the login is given to somebody new."
    "None: whoever has left needs no access."
    "acl.grant-unknown" "imap.acl"
    "A login that no policy names can open a folder."
    "Nobody knows who that is; a new account of that name inherits the access."
    "A technical account; register it."
    "acl.negative-right" "imap.acl"
    "An entry takes rights away from a login."
    "It hides another grant; whoever removes it brings that back."
    "A deliberate exclusion."
    "dovecot.auth-cache" "dovecot.posture"
    "Dovecot remembers passwords for a while."
    "A changed password, or a locked account, goes on working until the memory runs out."
    "A busy server; flush the cache with every reset."
    "dovecot.certificate-login" "dovecot.posture"
    "A client certificate names who logs in."
    "It works until it is revoked, whatever happens to the password."
    "Machines that have no password; keep a list of the certificates."
    "dovecot.further-passwords" "dovecot.credentials"
    "Passwords come from more than one database."
    "A second password opens the mailbox after the first was changed."
    "App passwords, or single sign-on; reset both."
    "dovecot.no-password" "dovecot.credentials"
    "A password database asks for no password."
    "Whoever connects reads every mailbox."
    "A proxy that has asked before; restrict it with allow_nets."
    "dovecot.replica" "dovecot.posture"
    "Every mailbox is copied to another host."
    "Whoever runs that host reads everything."
    "A second server of one's own; name it in a domain of the policy."
    "dovecot.user-programs" "dovecot.posture"
    "Users' own scripts may run programs of the mail host."
    "Whoever has one password can run what the administrator installed on any message."
    "Programs that were written for that."
    "exception.expired" "policy"
    "An acceptance in the policy has run out."
    "What it covered is open again, or nobody cleaned up after it."
    "None: renew it with a new approval or delete it."
    "exception.stale" "policy"
    "An acceptance is for a finding that has another content now."
    "Somebody changed the rule after it was approved."
    "A harmless edit; look at it and accept the new content."
    "exception.unused" "policy"
    "An acceptance matches nothing that was found."
    "It would silently cover the same finding if it came back."
    "The mailbox was not swept in this run."
    "imap.push-notify" "imap.metadata"
    "New mail is announced to a push service."
    "Whoever runs the service learns who writes, and when."
    "The organisation's own mail app."
    "imap.urlauth-key" "imap.urlauth"
    "A folder has a key with which URLs of its messages are signed."
    "Whoever holds a signed URL reads the message without a login, after every password change."
    "A mobile server that fetches attachments by URL."
    "imapsieve.script" "imap.metadata"
    "A script runs whenever mail is stored in a folder."
    "It acts on sent mail and drafts as well, and is not the active script that everybody looks at."
    "Spam training by moving mail into a folder."
    "list.member-leaver" "lists.members"
    "Somebody who has left is still member, owner or moderator of a mailing list."
    "The list goes on sending them what is written inside, and an owner lets others in."
    "A list that is open to the world; close the archive to what is not."
    "list.member-outside" "lists.members"
    "An outside address is on a mailing list of ours."
    "Whatever is written to the list leaves the organisation, and no rule of a mailbox shows it."
    "A list that customers or partners are meant to be on; approve their domain or accept it."
    "panel.account-leaver" "panel.credentials"
    "Somebody who has left is still active in the panel, for everything or for one service."
    "The mail server asks these rows who may log in, each service its own switch."
    "None: switch the account off for every service."
    "panel.admin-leaver" "panel.rights"
    "Somebody who has left administers a domain or the whole panel."
    "They make mailboxes, aliases and passwords, and see everybody's."
    "None: whoever has left administers nothing."
    "panel.admin-unknown" "panel.rights"
    "A login that no policy names administers a domain or the whole panel."
    "Nobody knows who that is."
    "The account of the installation; register it with an owner."
    "panel.answer" "webmail.profile"
    "Automatic answers kept in a profile speak for an outside address, or for somebody who has left."
    "Correspondents are led to somebody else, or learn that the mailbox is still alive; the groupware writes the script again."
    "A notice that somebody has left, written by whoever follows."
    "panel.api-key" "panel.credentials"
    "A key administers the panel without a login."
    "Whoever copied it makes aliases and passwords until it is replaced."
    "A provisioning system; restrict it to its address and accept it."
    "panel.copy-inside" "panel.forwarding"
    "Mail is silently copied to a mailbox of ours."
    "Whoever reads that mailbox reads the mail of others."
    "An archive mailbox."
    "panel.copy-outside" "panel.forwarding"
    "Mail is silently copied outside."
    "Nobody who writes or reads sees the copy."
    "A journal required by law; approve its domain."
    "panel.credential-leaver" "panel.credentials"
    "Somebody who has left still has an app password or a second factor."
    "It survives the change of the main password."
    "None: delete it."
    "panel.mail-leaver" "panel.forwarding"
    "An alias of the panel sends mail to somebody who has left."
    "Their mailbox may forward it, and whoever gets their login reads it."
    "None: lead it to the successor."
    "panel.mail-outside" "panel.forwarding"
    "An alias, or a forward of a profile, sends mail outside."
    "It goes on after passwords are changed and mailboxes are locked."
    "A partner or an archive; add the domain to approved_external_domains."
    "panel.pull" "panel.pulls"
    "The panel keeps copying or connecting a mailbox with a stored password."
    "Mail is copied as long as that password works."
    "A migration; delete the job once it is done."
    "panel.push" "panel.pulls"
    "New mail is announced to a service outside."
    "Whoever runs the service learns who writes, and when."
    "The organisation's own app."
    "panel.recovery-outside" "panel.credentials"
    "A forgotten password is reset from outside, or by somebody who has left."
    "Whoever holds that address can give themselves the mailbox."
    "A private address that is registered as the person's own."
    "panel.reply-outside" "webmail.identities"
    "Answers to mail of ours go outside, or to somebody who has left."
    "Correspondents answer to somebody else, and nobody sees the difference."
    "A ticket system; approve its domain."
    "panel.residue" "panel.credentials"
    "The panel kept something of an account that it deleted."
    "Whoever gets the name next gets it as well."
    "None: delete the row."
    "panel.send-as-leaver" "panel.rights"
    "Somebody who has left may send as an address."
    "Any credential of theirs that was forgotten sends mail in the name of the organisation."
    "None: whoever has left sends nothing."
    "panel.send-as-unknown" "panel.rights"
    "A login that no policy names may send as an address."
    "Nobody knows who that is."
    "A technical account; register it."
    "panel.session-leaver" "panel.credentials"
    "Somebody who has left is still logged in to the panel or webmail."
    "A session that is open survives a password change."
    "None: delete it."
    "panel.share-inside" "webmail.shares"
    "A person of ours may use a calendar, an address book or a mailbox without being an authorised user of it."
    "Access that nobody approved outlives the reason for it."
    "A shared calendar; register the person as authorised."
    "panel.share-leaver" "webmail.shares"
    "Somebody who has left may still use what was shared."
    "It works with any credential of theirs that was forgotten."
    "None: take the share back."
    "panel.share-open" "webmail.shares"
    "Something is shared with everybody who can log in."
    "Any stolen password reads it, and no list of readers exists."
    "Free and busy times."
    "panel.share-outside" "webmail.shares"
    "Something is shared with a login outside."
    "Nobody here can lock that login."
    "A partner; accept it with reason and expiry."
    "postfix.alias-command" "postfix.alias_maps"
    "Mail to an alias is handed to a program."
    "The program runs with every message and can do anything with it."
    "A ticket system or a mailing list manager."
    "postfix.alias-computed" "postfix.virtual_alias_maps"
    "An alias sends mail to an address that a pattern fills in."
    "Where mail goes depends on the message."
    "A rename of a whole domain."
    "postfix.alias-external" "postfix.virtual_alias_maps"
    "An alias sends mail outside."
    "It goes on after passwords are changed and mailboxes are locked."
    "A partner or an archive; add the domain to approved_external_domains."
    "postfix.alias-file" "postfix.alias_maps"
    "Mail to an alias is written to a file."
    "Whoever reads the file reads the mail, and no list says who does."
    "A local archive."
    "postfix.alias-include" "postfix.alias_maps"
    "An alias goes to a list in a file that was not looked at."
    "The file can hold any address and any program."
    "An internal distribution list."
    "postfix.alias-leaver" "postfix.virtual_alias_maps"
    "An alias sends mail to somebody who has left."
    "Their mailbox may forward it, and whoever gets their login reads it."
    "None: lead it to the successor."
    "postfix.bcc-computed" "postfix.bcc_maps"
    "Mail is silently copied to an address that a pattern fills in."
    "Nobody who writes or reads sees the copy."
    "An archive with an address for each mailbox."
    "postfix.bcc-external" "postfix.bcc_maps"
    "Mail is silently copied outside."
    "Nobody who writes or reads sees the copy."
    "A journal required by law; approve its domain."
    "postfix.bcc-internal" "postfix.bcc_maps"
    "Mail is silently copied to a mailbox of ours."
    "Whoever reads that mailbox reads the mail of others."
    "An archive mailbox."
    "postfix.send-as-internal" "postfix.sender_login_maps"
    "A person of ours may send as an address without being an authorised user of it."
    "Mail in its name need not be its owner's."
    "Holiday cover; register it as authorised or give it an end."
    "postfix.send-as-leaver" "postfix.sender_login_maps"
    "Somebody who has left may still send as an address."
    "Any credential of theirs that was forgotten sends mail in the name of the organisation."
    "None: whoever has left sends nothing."
    "postfix.send-as-unknown" "postfix.sender_login_maps"
    "A login that no policy names may send as an address."
    "Nobody knows who that is."
    "A technical account; register it."
    "postfix.alias-crowd" "postfix.virtual_alias_maps"
    "An alias has more targets than a report can list."
    "Somebody may hide in the crowd."
    "A very large list; keep it in a list manager."
    "postfix.catch-all" "postfix.virtual_alias_maps"
    "Whatever name is made up in a domain, its mail reaches somebody."
    "Resets and invitations sent to names that nobody has are theirs, and so is mail for people who have left."
    "A scope; say so in the policy."
    "postfix.command-filter" "postfix.filters"
    "SMTP commands are rewritten before anything else sees them."
    "A rule can put another recipient in the place of the one who was meant."
    "A workaround for a broken client."
    "postfix.content-copy" "postfix.content_checks"
    "A rule copies chosen messages to an address."
    "Only the messages that matter are copied, and nobody sees it."
    "A journal of orders or tickets; approve its domain."
    "postfix.content-discard" "postfix.content_checks"
    "A rule throws chosen messages away."
    "Warnings can be made to vanish; sender and recipient believe that they were delivered."
    "A rule against spam."
    "postfix.content-filter" "postfix.content_checks"
    "A rule hands chosen messages to a program or to an outside host."
    "It can copy, change or answer them."
    "A scanner that a provider runs."
    "postfix.content-header" "postfix.content_checks"
    "A rule puts a field into messages that leads answers or notices to somebody."
    "Correspondents answer to somebody else."
    "A fixed Reply-To of a ticket system; register its address."
    "postfix.content-redirect" "postfix.content_checks"
    "A rule sends chosen messages to an address instead of to their recipients."
    "The recipients never learn of them."
    "A quarantine mailbox; approve its domain."
    "postfix.delivery-program" "postfix.transport"
    "A program delivers mail to local users."
    "It can copy every message, and procmail or maildrop do what files in home directories say."
    "The delivery program of the distribution; look at what it reads."
    "postfix.filter-outside" "postfix.filters"
    "Every message, or who writes to whom, is shown to an outside host."
    "Whoever runs the host reads along."
    "A scanning service under contract; accept it with reason and expiry."
    "postfix.filter-program" "postfix.filters"
    "Every message is handed to a program."
    "The program can copy, change or answer every message."
    "A virus scanner or a mailing list manager."
    "postfix.mailbox-shared" "postfix.transport"
    "Mail to an address is delivered into the mailbox of another."
    "Whoever opens that mailbox reads it, and no alias shows why."
    "Two spellings of one person's address."
    "postfix.queue-leaver" "postfix.queue"
    "Messages wait in the queue for somebody who has left."
    "They are delivered at the next attempt, whatever was changed meanwhile."
    "None: hold them and look where they come from."
    "postfix.relay-certificate" "postfix.sender_login_maps"
    "Whoever holds a certificate may send mail to anybody."
    "It works without a password, until the line is removed."
    "A branch office's own server."
    "postfix.relay-outside" "postfix.transport"
    "Outgoing mail leaves by way of an outside host."
    "Whoever runs the host sees it pass."
    "The provider's smarthost; accept it with reason and expiry."
    "postfix.relocated-outside" "postfix.rewriting"
    "Whoever writes to an address is told to write outside."
    "Correspondents follow somebody to where the organisation cannot see."
    "A change of employer that was agreed on."
    "postfix.rewrite-leaver" "postfix.rewriting"
    "An address is rewritten to that of somebody who has left."
    "Mail or its answers reach whoever gets that mailbox."
    "None: lead it to the successor."
    "postfix.rewrite-outside" "postfix.rewriting"
    "An address of ours is rewritten to one outside."
    "Mail or its answers leave, and no alias shows why."
    "A partner; add the domain to approved_external_domains."
    "postfix.separate-passwords" "postfix.sasl"
    "Postfix takes the passwords of senders from a database of its own."
    "A reset or a lock at the mail server leaves it as it is."
    "Devices and programs that only send; keep a list of them."
    "postfix.transport-discards" "postfix.transport"
    "Mail to an address of ours is thrown away."
    "Sender and recipient believe that it was delivered."
    "An address for automatic mail that nobody reads."
    "postfix.transport-outside" "postfix.transport"
    "Mail to an address of ours is handed to an outside host."
    "Whoever runs the host gets it, and no alias shows why."
    "A scanning service, or a migration; accept it with reason and expiry."
    "postfix.transport-program" "postfix.transport"
    "Mail to an address is handed to a program."
    "The program can do anything with it."
    "A ticket system or a mailing list manager."
    "pull.client-fetcher" "pull.clients"
    "A program or service that fetches mail logs in to a mailbox from outside."
    "It keeps a copy elsewhere, with a password that is stored there, and goes on until the password changes."
    "A migration, or a phone's mail service that the person was allowed; accept it with an end."
    "pull.client-leaver" "pull.clients"
    "The mailbox of somebody who has left was logged in to from outside after they left."
    "A password, a token or a session of theirs still works, or somebody else has it."
    "A successor who reads from home, or a master user; name their network as one of our own."
    "pull.job" "pull.jobs"
    "A program keeps copying a mailbox with a stored password."
    "It goes on for whoever set it up, and mail programs show nothing of it."
    "A migration or a backup; accept it with reason and expiry."
    "rspamd.exporter" "rspamd.exporters"
    "Rspamd sends messages, or what it knows of them, to another host or address."
    "By default a rule takes every message, whole; no mail log shows it."
    "A monitoring service of one's own; name its domain in the policy."
    "session.leaver" "dovecot.sessions"
    "Somebody who has left is still connected."
    "A session that is open survives a password change."
    "None: end it."
    "sieve.binary-differs" "sieve.files"
    "A compiled script does something else than its source."
    "The server runs the compiled form while everybody is shown the source."
    "None known; the engine compiles a changed source itself."
    "sieve.changes-header" "managesieve.scripts"
    "A script changes a header field that readers trust."
    "Replies go elsewhere, or a message looks like another sender's."
    "A tag in the subject."
    "sieve.engines-disagree" "managesieve.scripts"
    "Known engines read a script differently, and the server does not say which it runs."
    "What the script does is not known."
    "A server that hides its name."
    "sieve.hides-mail" "managesieve.scripts"
    "Mail is thrown away or filed where nobody looks."
    "Warnings and replies never reach their reader."
    "A filter against newsletters."
    "sieve.include-unseen" "managesieve.scripts"
    "A script includes one that was not looked at."
    "What is not seen can forward mail, now or when it appears."
    "The administrator's common rules."
    "sieve.link-outside" "sieve.files"
    "The active script is a link out of its directory."
    "ManageSieve does not show it, and another engine or setting would run it."
    "A link that an administrator made; store the script instead."
    "sieve.notify-approved" "managesieve.scripts"
    "Notices about mail go to an approved address."
    "A notice may quote the message."
    "It is approved; this is for the record."
    "sieve.notify-computed" "managesieve.scripts"
    "Notices go to an address that is made up at delivery."
    "A sender may choose who is told."
    "A service with an address for each ticket."
    "sieve.notify-external" "managesieve.scripts"
    "Notices about mail go outside."
    "A notice may quote the message, codes and links included."
    "A pager."
    "sieve.notify-internal" "managesieve.scripts"
    "Notices about mail go to somebody of ours."
    "A notice may quote the message."
    "Holiday cover."
    "sieve.plain-file" "sieve.files"
    "A script runs that ManageSieve does not list."
    "Neither its owner nor a webmail can see or stop it."
    "A script that an administrator put there by hand."
    "sieve.redirect-approved" "managesieve.scripts"
    "Mail is forwarded to an approved address."
    "Approvals are for an organisation, not for a person who leaves."
    "It is approved; this is for the record."
    "sieve.redirect-computed" "managesieve.scripts"
    "Mail is forwarded to an address that is made up at delivery."
    "A sender may choose where the mail goes."
    "A service with an address for each ticket."
    "sieve.redirect-external" "managesieve.scripts"
    "Mail is forwarded outside."
    "It goes on after the password is changed; the most common way to keep reading a mailbox."
    "Forwarding that the business wants; accept it with a reason and an end."
    "sieve.redirect-internal" "managesieve.scripts"
    "Mail is forwarded to somebody of ours."
    "Access without an authorisation, which outlives its reason."
    "Holiday cover."
    "sieve.refuses-mail" "managesieve.scripts"
    "All mail is refused."
    "The mailbox looks alive and receives nothing."
    "An address that was given up."
    "sieve.report-approved" "managesieve.scripts"
    "Messages go to an approved address as abuse reports."
    "A report holds the whole message."
    "It is approved; this is for the record."
    "sieve.report-computed" "managesieve.scripts"
    "Messages go as abuse reports to an address that is made up at delivery."
    "A report holds the whole message."
    "None known."
    "sieve.report-external" "managesieve.scripts"
    "Messages go outside as abuse reports."
    "A report holds the whole message and looks like housekeeping."
    "A real feedback loop."
    "sieve.report-internal" "managesieve.scripts"
    "Messages go to somebody of ours as abuse reports."
    "A report holds the whole message."
    "An abuse desk."
    "sieve.runs-program" "managesieve.scripts"
    "A script hands mail to a program."
    "The program can copy, change or answer every message."
    "A spam filter that the administrator installed."
    "sieve.too-many" "managesieve.scripts"
    "A mailbox's scripts do more things than a report can list."
    "Something may hide in the crowd."
    "None known; scripts of that size are not written by hand."
    "sieve.unknown" "managesieve.scripts"
    "A part of a script is not understood."
    "It can do anything."
    "An extension of the server that this program does not know."
    "sieve.vacation-foreign" "managesieve.scripts"
    "Automatic answers name an outside address."
    "Correspondents are led to somebody else."
    "A change of employer that was agreed on."
}

/// Every check, ordered by identifier.
pub static CHECKS: LazyLock<Vec<Check>> = LazyLock::new(|| {
    let of_domains = mailwarden_dns::checks::ALL.iter().map(|check| of_domain(check));
    let mut all: Vec<Check> = OF_MAIL.iter().copied().chain(of_domains).collect();
    all.sort_by_key(|check| check.id);
    all
});

/// A check of domains says itself what it means; why it matters is what its surface is abused for.
fn of_domain(check: &'static mailwarden_dns::Check) -> Check {
    let family = check.family().surface();
    let why = surface(family).map_or("", |row| row.abuse.as_str());
    let innocent = "Where it is meant; then an exception says so, with reason and expiry.";
    Check { id: check.id, surface: family, what: check.meaning, why, innocent }
}

/// The check of an identifier.
pub fn check(id: &str) -> Option<&'static Check> {
    CHECKS.iter().find(|check| check.id == id)
}

impl Check {
    /// The check's page of the reference, in Markdown.
    pub fn page(&self) -> String {
        let mut page = format!("# {}\n\n{}\n\n## Why it matters\n\n{}\n", self.id, self.what, self.why);
        if let Some(row) = surface(self.surface) {
            let _ = write!(page, "\n## How it is found\n\nOn the surface `{}`. {}\n", row.id, row.enumerate);
            let _ =
                write!(page, "\n## How it is removed\n\n{}\n\nThat does: {}\n", row.remove, row.side_effects);
            if !row.regenerated_by.is_empty() {
                let by = row.regenerated_by.join(", ");
                let _ = write!(page, "\nMay write it again from a store of its own: {by}.\n");
            }
            page.push_str(match row.tier {
                Tier::D => {
                    "\nThe finding names the record to publish; `mailwarden dns render` prints all of them.\n"
                }
                _ => "\n`mailwarden revoke FINGERPRINT` plans it and shows the exact effect.\n",
            });
            if !row.attack.is_empty() {
                let _ = write!(page, "\nATT&CK: {}.\n", row.attack.join(", "));
            }
        } else {
            page.push_str(
                "\n## How it is found\n\nBy comparing the policy's exceptions with what was found.\n",
            );
            page.push_str("\n## How it is removed\n\nChange or delete the `[[exception]]` in the policy.\n");
        }
        let _ = write!(page, "\n## When it is innocent\n\n{}\n", self.innocent);
        page
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::PathBuf;

    use super::*;

    const PAGES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/checks");

    #[test]
    fn identifiers_are_unique_and_ordered() {
        assert!(CHECKS.windows(2).all(|pair| pair[0].id < pair[1].id));
        for check in CHECKS.iter() {
            assert!(check.surface == "policy" || surface(check.surface).is_some(), "{}", check.id);
        }
    }

    /// `MAILWARDEN_REWRITE=1 cargo test -p mailwarden-judge catalogue` writes the pages anew.
    #[test]
    fn every_check_has_its_page_and_no_page_is_left_over() {
        let mut expected: BTreeSet<PathBuf> = BTreeSet::new();
        for check in CHECKS.iter() {
            let path = PathBuf::from(PAGES).join(format!("{}.md", check.id));
            if std::env::var_os("MAILWARDEN_REWRITE").is_some() {
                std::fs::create_dir_all(PAGES).unwrap();
                std::fs::write(&path, check.page()).unwrap();
            }
            assert_eq!(
                std::fs::read_to_string(&path).unwrap_or_default(),
                check.page(),
                "{}",
                path.display()
            );
            expected.insert(path);
        }
        let there: BTreeSet<PathBuf> =
            std::fs::read_dir(PAGES).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(there, expected);
    }
}
