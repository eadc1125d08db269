//! What `doveconf -n` prints, for versions 2.3 and 2.4.

/// Deepest nesting of blocks.
const MAX_DEPTH: usize = 16;
/// Most settings kept.
const MAX_SETTINGS: usize = 100_000;

/// One setting.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Setting {
    /// The blocks around it, each with its number so that two of the same name stay apart.
    path: Vec<(String, usize)>,
    name: String,
    value: String,
}

/// The settings in force that differ from the defaults.
#[derive(Debug, Clone, Default)]
pub(super) struct Conf {
    settings: Vec<Setting>,
}

impl Conf {
    /// Reads the output. Lines that are neither setting nor block are comments of doveconf.
    pub(super) fn parse(text: &str) -> Self {
        let mut path: Vec<(String, usize)> = Vec::new();
        let mut settings = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.starts_with('#') {
                continue;
            }
            if line == "}" {
                path.pop();
            } else if let Some(block) = line.strip_suffix('{') {
                path.push((block.trim().to_owned(), number));
            } else if let Some((name, value)) = line.split_once('=') {
                let value = value.trim().trim_matches('"').trim().to_owned();
                settings.push(Setting { path: path.clone(), name: name.trim().to_owned(), value });
            }
            if path.len() > MAX_DEPTH || settings.len() >= MAX_SETTINGS {
                break;
            }
        }
        Self { settings }
    }

    /// Whether it is of version 2.4, whose configuration names its version first.
    pub(super) fn is_24(&self) -> bool {
        self.top("dovecot_config_version").is_some()
    }

    /// A setting outside all blocks.
    pub(super) fn top(&self, name: &str) -> Option<&str> {
        let found = self.settings.iter().find(|setting| setting.path.is_empty() && setting.name == name);
        found.map(|setting| setting.value.as_str())
    }

    /// A setting of a plugin: in a block of its own until 2.3, at the top since 2.4.
    pub(super) fn plugin(&self, name: &str) -> Option<&str> {
        let of_plugin = self.plugin_settings().find(|(own, _)| *own == name).map(|(_, value)| value);
        of_plugin.or_else(|| self.top(name))
    }

    /// All settings of the `plugin` block.
    pub(super) fn plugin_settings(&self) -> impl Iterator<Item = (&str, &str)> {
        let of_plugin =
            |setting: &&Setting| matches!(setting.path.as_slice(), [(name, _)] if name == "plugin");
        self.settings.iter().filter(of_plugin).map(|setting| (setting.name.as_str(), setting.value.as_str()))
    }

    /// A setting anywhere, in any block.
    pub(super) fn anywhere(&self, name: &str) -> Option<&str> {
        self.settings.iter().find(|setting| setting.name == name).map(|setting| setting.value.as_str())
    }

    /// The heads of the blocks that stand inside a block.
    pub(super) fn inside<'s>(&'s self, head: &str) -> Vec<&'s str> {
        let inner = |setting: &'s Setting| match setting.path.as_slice() {
            [(outer, _), (inner, _), ..] if outer == head => Some(inner.as_str()),
            _ => None,
        };
        let mut heads: Vec<&str> = self.settings.iter().filter_map(inner).collect();
        heads.dedup();
        heads
    }

    /// The names in a block whose value is `yes`.
    pub(super) fn switched_on(&self, head: &str) -> Vec<&str> {
        let is_in = |setting: &&Setting| matches!(setting.path.as_slice(), [(name, _)] if name == head);
        let on = self.settings.iter().filter(is_in).filter(|setting| setting.value == "yes");
        on.map(|setting| setting.name.as_str()).collect()
    }

    /// Every setting of a password or user database: whether it is one of a single protocol, its name, its value.
    pub(super) fn databases<'s>(&'s self) -> Vec<(bool, &'s str, &'s str)> {
        let is_database = |head: &str| head.starts_with("passdb") || head.starts_with("userdb");
        let place = |setting: &Setting| setting.path.iter().position(|(head, _)| is_database(head));
        let of = |setting: &'s Setting| place(setting).map(|at| (at > 0, setting));
        let found = self.settings.iter().filter_map(of);
        found.map(|(inner, setting)| (inner, setting.name.as_str(), setting.value.as_str())).collect()
    }

    /// The blocks of a kind in the order of the file, e.g. `passdb`; in 2.4 each has a name behind it. One that stands
    /// inside a `protocol` block holds for that protocol alone.
    pub(super) fn blocks(&self, kind: &str) -> Vec<Block<'_>> {
        let mut blocks: Vec<(usize, Block<'_>)> = Vec::new();
        for setting in &self.settings {
            let protocol = setting.path.first().and_then(|(head, _)| head.strip_prefix("protocol "));
            let Some((head, number)) = setting.path.get(usize::from(protocol.is_some())) else { continue };
            let (word, name) = head.split_once(' ').unwrap_or((head, ""));
            if word != kind {
                continue;
            }
            if blocks.last().is_none_or(|(known, _)| known != number) {
                let (name, protocol) = (name.trim(), protocol.unwrap_or_default().trim());
                blocks.push((*number, Block { name, protocol, settings: Vec::new() }));
            }
            if let Some((_, block)) = blocks.last_mut() {
                block.settings.push((&setting.name, &setting.value));
            }
        }
        blocks.into_iter().map(|(_, block)| block).collect()
    }
}

/// One block with everything in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Block<'a> {
    /// The word behind its kind.
    pub(super) name: &'a str,
    /// The protocols it holds for, separated by blanks; empty where it holds for all.
    pub(super) protocol: &'a str,
    settings: Vec<(&'a str, &'a str)>,
}

impl<'a> Block<'a> {
    /// A setting of the block, or of a block inside it.
    pub(super) fn get(&self, name: &str) -> Option<&'a str> {
        self.settings.iter().find(|(own, _)| *own == name).map(|(_, value)| *value)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn both_versions_are_read() {
        let old = Conf::parse(
            "# 2.3.19.1: /etc/dovecot/dovecot.conf\nmail_location = maildir:~/Maildir\npassdb {\n  \
             args = /m\n  driver = passwd-file\n  master = yes\n}\npassdb {\n  args = /u\n}\nplugin {\n  \
             sieve = file:~/sieve;active=~/.dovecot.sieve\n}\nprotocol imap {\n  \
             mail_plugins = \" acl imap_acl\"\n}\n",
        );
        assert!(!old.is_24());
        assert_eq!(old.plugin("sieve"), Some("file:~/sieve;active=~/.dovecot.sieve"));
        let passdbs = old.blocks("passdb");
        assert_eq!(
            (passdbs.len(), passdbs[0].get("master"), passdbs[1].get("args")),
            (2, Some("yes"), Some("/u"))
        );
        assert_eq!(old.anywhere("mail_plugins"), Some("acl imap_acl"));
        let new = Conf::parse(
            "dovecot_config_version = 2.4.1\nsieve_script personal {\n  path = ~/sieve\n  driver = file\n}\n\
             acl_driver = vfile\npassdb passwd-file {\n  passdb_master = yes\n}\n",
        );
        assert!(new.is_24());
        assert_eq!(new.blocks("sieve_script")[0].name, "personal");
        assert_eq!(new.plugin("acl_driver"), Some("vfile"));
        let inner = Conf::parse(
            "passdb {\n  driver = sql\n}\nprotocol imap {\n  mail_plugins = acl\n  passdb {\n    driver = pam\n  }\n}\n",
        );
        let seen: Vec<_> =
            inner.blocks("passdb").iter().map(|block| (block.protocol, block.get("driver"))).collect();
        assert_eq!(seen, [("", Some("sql")), ("imap", Some("pam"))]);
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in "[a-z{}= #\n\"]{0,400}") {
            let conf = Conf::parse(&text);
            prop_assert!(conf.settings.iter().all(|setting| setting.path.len() <= MAX_DEPTH + 1));
        }
    }
}
