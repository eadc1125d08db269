//! A small reader of HTML: enough to see that every element is closed in order, every attribute quoted, every
//! identifier unique and every link inside the page answered.

use std::collections::BTreeSet;

const VOID: [&str; 3] = ["meta", "input", "br"];
const RAW: [&str; 2] = ["style", "script"];

/// What a page is made of.
#[derive(Default)]
pub(crate) struct Page {
    pub(crate) elements: Vec<String>,
    pub(crate) attributes: Vec<(String, String)>,
    pub(crate) raw: Vec<(String, String)>,
    open: Vec<String>,
}

/// Reads a page, or says what is wrong with it.
pub(crate) fn read(html: &str) -> Result<Page, String> {
    let mut page = Page::default();
    let mut rest = html.strip_prefix("<!doctype html>").ok_or("no doctype")?;
    while let Some(start) = rest.find('<') {
        rest = page.tag(&rest[start + 1..])?;
    }
    if page.open.is_empty() {
        page.links_are_answered().map(|()| page)
    } else {
        Err(format!("open: {:?}", page.open))
    }
}

impl Page {
    fn tag<'a>(&mut self, rest: &'a str) -> Result<&'a str, String> {
        if let Some(rest) = rest.strip_prefix('/') {
            let (name, after) = rest.split_once('>').ok_or("unfinished end tag")?;
            let open = self.open.pop();
            return if open.as_deref() == Some(name) {
                Ok(after)
            } else {
                Err(format!("{open:?} ended by {name}"))
            };
        }
        let length = rest.find(|c: char| !c.is_ascii_alphanumeric()).ok_or("unfinished tag")?;
        let (name, rest) = rest.split_at(length);
        if name.is_empty() {
            return Err(format!("a bare < before {:?}", rest.chars().take(30).collect::<String>()));
        }
        self.elements.push(name.to_owned());
        let after = self.attributes(name, rest)?;
        self.inside(name, after)
    }

    fn attributes<'a>(&mut self, element: &str, mut rest: &'a str) -> Result<&'a str, String> {
        let wrong = |what: &str| format!("{what} in <{element}>");
        loop {
            rest = rest.trim_start();
            if let Some(after) = rest.strip_prefix('>') {
                return Ok(after);
            }
            let is_name = |c: char| c.is_ascii_lowercase() || c == '-';
            let length =
                rest.find(|c| !is_name(c)).filter(|at| *at > 0).ok_or_else(|| wrong("no attribute name"))?;
            let (name, after) = rest.split_at(length);
            let quoted = after.strip_prefix("=\"").map(|value| value.split_once('"'));
            let (value, after) = quoted.unwrap_or(Some(("", after))).ok_or_else(|| wrong("open quote"))?;
            self.attributes.push((name.to_owned(), value.to_owned()));
            rest = after;
        }
    }

    fn inside<'a>(&mut self, name: &str, after: &'a str) -> Result<&'a str, String> {
        if VOID.contains(&name) {
            return Ok(after);
        }
        if RAW.contains(&name) {
            let (raw, rest) = after.split_once(&format!("</{name}>")).ok_or("open raw element")?;
            self.raw.push((name.to_owned(), raw.to_owned()));
            return Ok(rest);
        }
        self.open.push(name.to_owned());
        Ok(after)
    }

    fn values(&self, attribute: &str) -> impl Iterator<Item = &str> {
        self.attributes.iter().filter(move |(name, _)| name == attribute).map(|(_, value)| value.as_str())
    }

    fn links_are_answered(&self) -> Result<(), String> {
        let mut ids = BTreeSet::new();
        if let Some(twice) = self.values("id").find(|id| !ids.insert(*id)) {
            return Err(format!("two elements are called {twice}"));
        }
        let labels = self.values("aria-labelledby");
        let inside = self.values("href").map(|target| target.trim_start_matches('#')).chain(labels);
        match inside.into_iter().find(|target| !ids.contains(target)) {
            Some(missing) => Err(format!("nothing is called {missing}")),
            None => Ok(()),
        }
    }
}

#[test]
fn the_reader_sees_faults() {
    let page = |body: &str| read(&format!("<!doctype html>{body}"));
    assert!(page("<p>a<bdi>b</bdi></p>").is_ok());
    for fault in [
        "<p>",
        "<p></b>",
        "</p>",
        "<p a=b></p>",
        "a < b",
        "<a href=\"#x\"></a>",
        "<p id=\"x\"><i id=\"x\"></i></p>",
    ] {
        assert!(page(fault).is_err(), "{fault}");
    }
}
