//! Local parts with stars: `shop-*` stands for every local part that begins with `shop-`.

use mailwarden_address::Address;

/// A local part in which each `*` stands for any run of characters, the empty one included. A case difference
/// is no difference, as everywhere in addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalPattern {
    pieces: Box<[Box<str>]>,
}

impl LocalPattern {
    /// Reads a pattern; none when the text has no star.
    pub fn parse(text: &str) -> Option<Self> {
        let pieces =
            text.contains('*').then(|| text.split('*').map(|piece| folded(piece).into()).collect())?;
        Some(Self { pieces })
    }

    /// Whether a local part is one of those it stands for.
    pub fn matches(&self, address: &Address) -> bool {
        let local = folded(address.local());
        let (Some((first, rest)), true) = (self.pieces.split_first(), self.pieces.len() > 1) else {
            return false;
        };
        let (Some(last), middle) = (rest.last(), &rest[..rest.len() - 1]) else { return false };
        let Some(inner) = local.strip_prefix(&**first) else { return false };
        let Some(mut inner) = inner.strip_suffix(&**last) else { return false };
        // Leftmost matches are enough between fixed ends: taking one further right leaves less for the rest.
        for piece in middle {
            let Some((_, after)) = inner.split_once(&**piece) else { return false };
            inner = after;
        }
        true
    }

    /// How many characters are not stars: of two patterns that match, the one with more says more.
    pub fn literal_length(&self) -> usize {
        self.pieces.iter().map(|piece| piece.len()).sum()
    }
}

fn folded(text: &str) -> String {
    text.to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, local: &str) -> bool {
        let address = Address::parse(&format!("{local}@a.example")).expect("address");
        LocalPattern::parse(pattern).expect("a star").matches(&address)
    }

    #[test]
    fn a_star_stands_for_any_run() {
        for (pattern, local) in [
            ("shop-*", "shop-1"),
            ("shop-*", "Shop-"),
            ("*-shop", "my-SHOP"),
            ("a*b*c", "abc"),
            ("a*b*c", "aXXbYbYc"),
            ("*", "anything"),
            ("*a*", "bab"),
        ] {
            assert!(matches(pattern, local), "{pattern} {local}");
        }
        for (pattern, local) in
            [("shop-*", "shop"), ("*-shop", "shop"), ("a*b*c", "acb"), ("ab*ba", "aba"), ("a*a", "a")]
        {
            assert!(!matches(pattern, local), "{pattern} {local}");
        }
        assert_eq!(LocalPattern::parse("shop"), None);
    }
}
