//! Dovecot's own files of access control lists. They are the truth: the dictionary of shares may lack what they
//! grant, and IMAP refuses to show them to whoever lost administration of the folder.

use std::path::Path;

use mailwarden_evidence::{AclIdentifier, Fact};

use crate::disk;
use crate::harvest::Place;
use crate::imap::mutf7;
use crate::{Harvest, error::shown};

const FILE: &str = "dovecot-acl";
/// Longest file.
const MAX_FILE: usize = 1024 * 1024;
/// Most folders of one mailbox.
const MAX_FOLDERS: usize = 20_000;
/// Longest line that is a grant.
const MAX_LINE: usize = 4096;

/// One line: whom it concerns, and the right letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) identifier: AclIdentifier,
    pub(super) rights: String,
}

/// The root of a Maildir++ mailbox, if the folders of a mail location are laid out so.
pub(super) fn maildir_root(location: &str) -> Option<&str> {
    let mut parts = location.strip_prefix("maildir:")?.split(':');
    let root = parts.next()?;
    let usual = parts.all(|option| !option.starts_with("LAYOUT=") && !option.starts_with("CONTROL="));
    usual.then_some(root)
}

/// Reads the lists of all folders below a Maildir++ root; what could not be read is named.
pub(super) fn read_maildir(
    root: &Path,
    separator: &str,
    harvest: &mut Harvest,
    place: &Place<'_>,
) -> Vec<String> {
    let mut gaps = Vec::new();
    read_folder(root, "INBOX", harvest, place, &mut gaps);
    match disk::list(root, MAX_FOLDERS) {
        Ok(Some(paths)) => {
            for path in paths {
                if let Some(folder) = folder_of(&path, separator) {
                    read_folder(&path, &folder, harvest, place, &mut gaps);
                }
            }
        }
        Ok(None) => gaps.push(format!("more than {MAX_FOLDERS} folders")),
        Err(error) => gaps.push(format!("{} ({error})", root.display())),
    }
    gaps
}

/// `.Parent.Child` is the folder `Parent/Child`; the names are modified UTF-7 as in IMAP.
fn folder_of(path: &Path, separator: &str) -> Option<String> {
    let name = path.file_name()?.to_str()?.strip_prefix('.')?;
    if name.is_empty() || name == "." {
        return None;
    }
    let name = mutf7::decode(name.as_bytes()).unwrap_or_else(|| name.to_owned());
    Some(name.replace('.', separator))
}

fn read_folder(
    directory: &Path,
    folder: &str,
    harvest: &mut Harvest,
    place: &Place<'_>,
    gaps: &mut Vec<String>,
) {
    let path = directory.join(FILE);
    match disk::read(&path, MAX_FILE) {
        Ok(bytes) => observe(&bytes, folder, harvest, place, gaps),
        Err(error) if disk::is_absent(&error) => {}
        Err(error) => gaps.push(format!("{} ({error})", path.display())),
    }
}

fn observe(bytes: &[u8], folder: &str, harvest: &mut Harvest, place: &Place<'_>, gaps: &mut Vec<String>) {
    for line in bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty()) {
        match entry(line) {
            Some(entry) => observe_entries(folder, vec![entry], harvest, place),
            None => gaps.push(format!("{folder} (a line that is no grant: {})", shown(line))),
        }
    }
}

/// Writes down the grants on one folder.
pub(super) fn observe_entries(folder: &str, entries: Vec<Entry>, harvest: &mut Harvest, place: &Place<'_>) {
    for Entry { identifier, rights } in entries {
        let sign = if identifier.negative { "-" } else { "" };
        let excerpt = format!("{folder}: {sign}{} {rights}", identifier.name);
        let fact = Fact::AclEntry { folder: folder.to_owned(), identifier, rights };
        harvest.observe(place, fact, excerpt.as_bytes(), &excerpt);
    }
}

/// One row of `doveadm acl get`.
#[derive(serde::Deserialize)]
pub(super) struct Granted {
    id: String,
    rights: String,
    /// Not empty where the row comes from the list of the whole server.
    #[serde(default)]
    global: String,
}

/// Writes down what `doveadm acl get` says of a folder, and names the rows that cannot be read.
pub(super) fn observe_rows(
    folder: &str,
    rows: Vec<Granted>,
    harvest: &mut Harvest,
    place: &Place<'_>,
) -> Vec<String> {
    let mut gaps = Vec::new();
    for Granted { id, rights, global } in rows {
        match of_words(&id, &rights) {
            Some(entries) if !global.is_empty() => {
                let marked = entries.into_iter().map(server_wide).collect();
                observe_entries(folder, marked, harvest, place);
            }
            Some(entries) => observe_entries(folder, entries, harvest, place),
            None => gaps.push(format!("{folder} (unreadable: {})", shown(id.as_bytes()))),
        }
    }
    gaps
}

/// An entry of the list of the whole server, as GETACL marks it.
fn server_wide(entry: Entry) -> Entry {
    let sign = if entry.identifier.negative { "-" } else { "" };
    let identifier = AclIdentifier::new(format!("#{sign}{}", entry.identifier.name), false);
    Entry { identifier, ..entry }
}

/// What `doveadm acl get` prints: the identifier as in the files, the rights as words, those taken away with a
/// minus.
pub(super) fn of_words(identifier: &str, words: &str) -> Option<Vec<Entry>> {
    let name = as_shown_by_imap(identifier)?;
    let (mut given, mut taken) = (String::new(), String::new());
    for word in words.split_whitespace() {
        match word.strip_prefix('-') {
            Some(word) => taken.push(letter(word)?),
            None => given.push(letter(word)?),
        }
    }
    let entry = |rights: String, negative| {
        let identifier = AclIdentifier::new(name.clone(), negative);
        (!rights.is_empty()).then_some(Entry { identifier, rights })
    };
    Some([entry(given, false), entry(taken, true)].into_iter().flatten().collect())
}

fn letter(word: &str) -> Option<char> {
    Some(match word {
        "lookup" => 'l',
        "read" => 'r',
        "write" => 'w',
        "write-seen" => 's',
        "write-deleted" => 't',
        "insert" => 'i',
        "post" => 'p',
        "expunge" => 'e',
        "create" => 'k',
        "delete" => 'x',
        "admin" => 'a',
        _ => return None,
    })
}

/// `identifier rights [:named rights]`, the identifier in quotes where it holds a blank. It is put as GETACL
/// shows it.
pub(super) fn entry(line: &[u8]) -> Option<Entry> {
    let line = std::str::from_utf8(line).ok().filter(|line| line.len() <= MAX_LINE)?;
    let (name, rest) = match line.strip_prefix('"') {
        Some(quoted) => unquoted(quoted)?,
        None => {
            let (name, rest) = line.split_once(' ').unwrap_or((line, ""));
            (name.to_owned(), rest)
        }
    };
    let (name, negative) = match name.strip_prefix('-') {
        Some(name) => (name.to_owned(), true),
        None => (name, false),
    };
    let name = as_shown_by_imap(&name)?;
    let rights = rest.split(':').next().unwrap_or_default().trim().to_owned();
    rights.chars().all(|right| right.is_ascii_alphanumeric()).then_some(())?;
    Some(Entry { identifier: AclIdentifier::new(name, negative), rights })
}

fn unquoted(quoted: &str) -> Option<(String, &str)> {
    let mut name = String::new();
    let mut letters = quoted.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '\\' => name.push(letters.next()?.1),
            '"' => return Some((name, quoted[at + 1..].trim_start())),
            other => name.push(other),
        }
    }
    None
}

fn as_shown_by_imap(name: &str) -> Option<String> {
    match name {
        "anyone" | "authenticated" | "owner" => return Some(name.to_owned()),
        _ => {}
    }
    let (kind, who) = name.split_once('=')?;
    match kind {
        "user" => Some(who.to_owned()),
        "group" => Some(format!("${who}")),
        "group-override" => Some(format!("!${who}")),
        _ => None,
    }
}

/// A list for the whole server: `pattern identifier rights` a line. What is no grant is named.
pub(super) fn read_global(bytes: &[u8], harvest: &mut Harvest, place: &Place<'_>) -> Vec<String> {
    let mut gaps = Vec::new();
    for line in bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii) {
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        let split = line.iter().position(|byte| *byte == b' ');
        let parts = split.map(|at| (String::from_utf8_lossy(&line[..at]), entry(line[at..].trim_ascii())));
        let Some((pattern, Some(entry))) = parts else {
            gaps.push(format!("a line that is no grant: {}", shown(line)));
            continue;
        };
        let Entry { identifier, rights } = server_wide(entry);
        let excerpt = format!("{pattern}: {} {rights}", identifier.name);
        let fact = Fact::AclEntry { folder: pattern.into_owned(), identifier, rights };
        harvest.observe(place, fact, line, &excerpt);
    }
    gaps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Option<(String, bool, String)> {
        let entry = entry(line.as_bytes())?;
        Some((entry.identifier.name, entry.identifier.negative, entry.rights))
    }

    #[test]
    fn lines_are_read_as_getacl_would_show_them() {
        let got = |name: &str, negative, rights: &str| Some((name.to_owned(), negative, rights.to_owned()));
        assert_eq!(read("user=bob@e.test lrws"), got("bob@e.test", false, "lrws"));
        assert_eq!(read("-user=bob@e.test w"), got("bob@e.test", true, "w"));
        assert_eq!(read("group=grp lr"), got("$grp", false, "lr"));
        assert_eq!(read("group-override=admins lra"), got("!$admins", false, "lra"));
        assert_eq!(read("\"user=with \\\"blank\\\" x\" lr"), got("with \"blank\" x", false, "lr"));
        assert_eq!(read("owner"), got("owner", false, ""));
        assert_eq!(read("anyone lr :post"), got("anyone", false, "lr"));
        for none in ["bob lr", "user=bob l;r", "\"user=bob lr", "martian=x lr"] {
            assert_eq!(read(none), None, "{none}");
        }
    }

    #[test]
    fn words_of_doveadm_are_letters_of_imap() {
        let entries = of_words("user=bob@e.test", "lookup read write -write").unwrap();
        let got: Vec<(&str, bool)> =
            entries.iter().map(|entry| (entry.rights.as_str(), entry.identifier.negative)).collect();
        assert_eq!(got, [("lrw", false), ("w", true)]);
        assert_eq!(of_words("user=bob", "lookup fly"), None);
        assert_eq!(of_words("martian=bob", "lookup"), None);
    }

    #[test]
    fn only_plain_maildirs_are_read_from_files() {
        assert_eq!(maildir_root("maildir:~/Maildir:INDEX=/x"), Some("~/Maildir"));
        assert_eq!(maildir_root("maildir:~/Maildir:LAYOUT=fs"), None);
        assert_eq!(maildir_root("mdbox:~/mdbox"), None);
    }

    #[test]
    fn folder_names_are_those_of_imap() {
        let of = |name: &str| folder_of(&Path::new("/m").join(name), "/");
        assert_eq!(of(".Project.Secret").unwrap(), "Project/Secret");
        assert_eq!(of(".Entw&APw-rfe").unwrap(), "Entw\u{fc}rfe");
        assert_eq!((of("cur"), of(".")), (None, None));
    }
}
