//! Where Sieve scripts stand, by the configuration.

use std::path::PathBuf;

use super::conf::Conf;
use super::doveadm::Fields;

/// One place that scripts come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// The setting that names it, e.g. `sieve_before`.
    pub(super) setting: String,
    /// What kind of store it is.
    pub(super) kind: PlaceKind,
    /// Whether it runs by itself; the others run only when a script includes them.
    pub(super) runs: bool,
}

/// What holds the scripts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PlaceKind {
    /// A file, or a directory whose files run in the order of their names.
    Files(String),
    /// A dictionary, with the name that is looked up in it.
    Dictionary {
        /// Its URI.
        uri: String,
        /// The script's name in it.
        name: String,
    },
    /// Something that is not read here, e.g. LDAP.
    Other(String),
}

/// The personal store of every user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Personal {
    /// The directory of stored scripts.
    pub(super) directory: String,
    /// The link that names the active one.
    pub(super) active: String,
    /// Where compiled forms stand, if not beside the scripts.
    pub(super) binaries: Option<String>,
}

const DEFAULT_DIRECTORY: &str = "~/sieve";
const DEFAULT_ACTIVE: &str = "~/.dovecot.sieve";

/// The store of a user, or the place that stands in its stead.
pub(super) fn personal(conf: &Conf, fields: &Fields) -> Result<Personal, Place> {
    if conf.is_24() {
        return personal_24(conf);
    }
    let own = fields.get("sieve").or_else(|| fields.get("plugin/sieve")).map(String::as_str);
    let value = own.or_else(|| conf.plugin("sieve")).unwrap_or("file:~/sieve;active=~/.dovecot.sieve");
    let location = Location::of(value);
    match location.driver {
        "file" => Ok(Personal {
            directory: location.path.to_owned(),
            active: location.option("active").unwrap_or(DEFAULT_ACTIVE).to_owned(),
            binaries: location.option("bindir").map(str::to_owned),
        }),
        // Without a driver it is the path of the active script itself.
        "" => Ok(Personal {
            directory: conf.plugin("sieve_dir").unwrap_or(DEFAULT_DIRECTORY).to_owned(),
            active: location.path.to_owned(),
            binaries: None,
        }),
        _ => Err(place("sieve", &location, true)),
    }
}

fn personal_24(conf: &Conf) -> Result<Personal, Place> {
    let blocks = conf.blocks("sieve_script");
    let is_personal = |block: &&super::conf::Block<'_>| {
        let kind = setting(block, "type").unwrap_or("personal");
        kind == "personal"
    };
    let Some(block) = blocks.iter().find(is_personal) else {
        return Ok(Personal {
            directory: DEFAULT_DIRECTORY.into(),
            active: DEFAULT_ACTIVE.into(),
            binaries: None,
        });
    };
    if setting(block, "driver").unwrap_or("file") != "file" {
        return Err(place_24(block, "personal", true));
    }
    Ok(Personal {
        directory: setting(block, "path").unwrap_or(DEFAULT_DIRECTORY).to_owned(),
        active: setting(block, "active_path").unwrap_or(DEFAULT_ACTIVE).to_owned(),
        binaries: setting(block, "bin_path").map(str::to_owned),
    })
}

/// A setting of a `sieve_script` block, which doveconf may print with its full name.
fn setting<'a>(block: &super::conf::Block<'a>, name: &str) -> Option<&'a str> {
    block.get(&format!("sieve_script_{name}")).or_else(|| block.get(name))
}

/// The scripts of the administrator: before, after, default, discard, by IMAP events, and for inclusion.
pub(super) fn global(conf: &Conf) -> Vec<Place> {
    if conf.is_24() {
        return global_24(conf);
    }
    let mut places: Vec<Place> = conf
        .plugin_settings()
        .filter_map(|(name, value)| Some(place(name, &Location::of(value), runs_by_itself(name)?)))
        .collect();
    places.sort_by(|a, b| a.setting.cmp(&b.setting));
    places
}

/// Whether a setting names scripts that run by themselves; `None` where it names none.
fn runs_by_itself(name: &str) -> Option<bool> {
    let numbered = |stem: &str| {
        name.strip_prefix(stem).is_some_and(|rest| rest.chars().all(|digit| digit.is_ascii_digit()))
    };
    let by_event = name.starts_with("imapsieve_") && (name.ends_with("_before") || name.ends_with("_after"));
    if numbered("sieve_before") || numbered("sieve_after") || by_event {
        return Some(true);
    }
    match name {
        "sieve_default" | "sieve_discard" | "sieve_global_path" => Some(true),
        "sieve_global" | "sieve_global_dir" => Some(false),
        _ => None,
    }
}

fn global_24(conf: &Conf) -> Vec<Place> {
    let blocks = conf.blocks("sieve_script");
    let kind_of = |block: &super::conf::Block<'_>| setting(block, "type").unwrap_or("personal").to_owned();
    let others = blocks.iter().filter(|block| kind_of(block) != "personal");
    others.map(|block| place_24(block, &kind_of(block), kind_of(block) != "global")).collect()
}

fn place_24(block: &super::conf::Block<'_>, kind: &str, runs: bool) -> Place {
    let driver = setting(block, "driver").unwrap_or("file");
    let kind_of_place = match (driver, setting(block, "path")) {
        ("file", Some(path)) => PlaceKind::Files(path.to_owned()),
        (other, _) => PlaceKind::Other(format!("driver {other}")),
    };
    Place { setting: format!("sieve_script {} ({kind})", block.name), kind: kind_of_place, runs }
}

fn place(name: &str, location: &Location<'_>, runs: bool) -> Place {
    let kind = match location.driver {
        "" | "file" => PlaceKind::Files(location.path.to_owned()),
        "dict" => PlaceKind::Dictionary {
            uri: location.path.to_owned(),
            name: location.option("name").unwrap_or("default").to_owned(),
        },
        other => PlaceKind::Other(format!("{other}:{}", location.path)),
    };
    Place { setting: name.to_owned(), kind, runs }
}

/// `[driver:]path[;option=value...]`.
struct Location<'a> {
    driver: &'a str,
    path: &'a str,
    options: Vec<(&'a str, &'a str)>,
}

impl<'a> Location<'a> {
    fn of(value: &'a str) -> Self {
        let mut parts = value.split(';');
        let first = parts.next().unwrap_or_default();
        let known = ["file", "dict", "ldap"];
        let (driver, path) = match first.split_once(':') {
            Some((driver, path)) if known.contains(&driver) => (driver, path),
            _ => ("", first),
        };
        Self { driver, path, options: parts.filter_map(|part| part.split_once('=')).collect() }
    }

    fn option(&self, name: &str) -> Option<&'a str> {
        self.options.iter().find(|(own, _)| *own == name).map(|(_, value)| *value)
    }
}

/// A text with the variables of one user filled in; `None` where it holds one that is not known here.
pub(super) fn expanded(text: &str, login: &str, home: &str) -> Option<String> {
    let (local, domain) = login.rsplit_once('@').unwrap_or((login, ""));
    let long = [
        ("%{home}", home),
        ("%{user}", login),
        ("%{user | username}", local),
        ("%{user|username}", local),
        ("%{user | domain}", domain),
        ("%{user|domain}", domain),
    ];
    let text = long.iter().fold(text.to_owned(), |text, (name, value)| text.replace(name, value));
    let mut filled = String::new();
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        if letter != '%' {
            filled.push(letter);
            continue;
        }
        match letters.next()? {
            '%' => filled.push('%'),
            'h' => filled.push_str(home),
            'u' => filled.push_str(login),
            'n' => filled.push_str(local),
            'd' => filled.push_str(domain),
            _ => return None,
        }
    }
    Some(filled)
}

/// A path with the variables of one user filled in; `None` where it holds one that is not known here.
pub(super) fn filled(path: &str, login: &str, home: &str) -> Option<PathBuf> {
    let text = expanded(path, login, home)?;
    match text.strip_prefix('~') {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => {
            Some(PathBuf::from(format!("{home}{rest}")))
        }
        Some(_) => None,
        // A relative path of a user's store is relative to the home.
        None if !text.starts_with('/') && !home.is_empty() => Some(PathBuf::from(home).join(text)),
        None => Some(PathBuf::from(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn personal_stores_of_every_spelling() {
        let none = Fields::new();
        let of = |text: &str| personal(&Conf::parse(text), &none);
        let usual = of("plugin {\n sieve = file:~/s;active=~/.act;bindir=~/.bin\n}\n").unwrap();
        assert_eq!((usual.directory.as_str(), usual.active.as_str()), ("~/s", "~/.act"));
        assert_eq!(usual.binaries.as_deref(), Some("~/.bin"));
        let old = of("plugin {\n sieve = ~/.my.sieve\n sieve_dir = ~/scripts\n}\n").unwrap();
        assert_eq!((old.directory.as_str(), old.active.as_str()), ("~/scripts", "~/.my.sieve"));
        let dictionary = of("plugin {\n sieve = dict:file:/d;name=main\n}\n").unwrap_err();
        let wanted = PlaceKind::Dictionary { uri: "file:/d".into(), name: "main".into() };
        assert_eq!(dictionary.kind, wanted);
        let new =
            "dovecot_config_version = 2.4.1\nsieve_script personal {\n  driver = file\n  path = ~/x\n}\n";
        assert_eq!(of(new).unwrap().directory, "~/x");
        let own = Fields::from([("sieve".to_owned(), "file:~/own".to_owned())]);
        assert_eq!(personal(&Conf::parse(""), &own).unwrap().directory, "~/own");
    }

    #[test]
    fn global_places_and_whether_they_run() {
        let conf = "plugin {\n  sieve_before = /b\n  sieve_before2 = dict:proxy::x;name=copy\n  \
                    sieve_global = /g\n  sieve_max_redirects = 4\n  sieve_before_x = /no\n  \
                    imapsieve_mailbox1_before = file:/spam.sieve\n  sieve_after = ldap:/etc/l\n}\n";
        let places = global(&Conf::parse(conf));
        let names: Vec<(&str, bool)> =
            places.iter().map(|place| (place.setting.as_str(), place.runs)).collect();
        let wanted = [
            ("imapsieve_mailbox1_before", true),
            ("sieve_after", true),
            ("sieve_before", true),
            ("sieve_before2", true),
            ("sieve_global", false),
        ];
        assert_eq!(names, wanted);
        assert_eq!(places[1].kind, PlaceKind::Other("ldap:/etc/l".into()));
    }

    #[test]
    fn variables_are_filled_or_named_as_unknown() {
        let of = |path: &str| filled(path, "jane@e.test", "/h/jane").map(|path| path.display().to_string());
        assert_eq!(of("~/sieve").unwrap(), "/h/jane/sieve");
        assert_eq!(of("/s/%d/%n/%u").unwrap(), "/s/e.test/jane/jane@e.test");
        assert_eq!(of("%{home}/x%%").unwrap(), "/h/jane/x%");
        assert_eq!(of("sieve").unwrap(), "/h/jane/sieve");
        assert_eq!(of("/s/%{ldap:x}"), None);
        assert_eq!(of("/s/%5.256Hu"), None);
        assert_eq!(of("~bob/x"), None);
    }
}
