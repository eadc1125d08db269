//! The character classes that address grammars and address thieves care about.

/// RFC 5322 §3.2.3 `atext`, widened by RFC 6532 §3.2 but not to white space.
pub(crate) fn is_atext(c: char) -> bool {
    match u8::try_from(c) {
        Ok(byte) if byte.is_ascii() => is_ascii_atext(byte),
        _ => !c.is_whitespace() && !is_unprintable(c),
    }
}

/// RFC 5322 §3.2.3 `atext`.
pub(crate) const fn is_ascii_atext(byte: u8) -> bool {
    matches!(byte, b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'/' | b'=' | b'?'
        | b'^'..=b'`' | b'{'..=b'~')
}

/// Characters that can hide or reorder what is shown: controls, and the bidirectional and invisible ranges.
pub(crate) fn is_unprintable(c: char) -> bool {
    c.is_control() || is_invisible(c)
}

/// Zero-width, exotic-space and direction characters, which readers cut at, drop or obey.
pub(crate) fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{2000}'..='\u{200f}' | '\u{2028}'..='\u{202f}'
        | '\u{205f}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffd}')
}

/// Direction overrides and isolates (UAX #9 §2): no display name needs them, and they turn one round.
pub(crate) fn is_direction_override(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The full stops that UTS #46 maps to a dot, and the dot.
pub(crate) fn is_dot(c: char) -> bool {
    matches!(c, '.' | '\u{3002}' | '\u{ff0e}' | '\u{ff61}')
}

/// The ASCII character that a compatibility form (full width, small `@`) is shown and often treated as.
pub(crate) fn narrowed(c: char) -> char {
    match c {
        '\u{fe6b}' => '@',
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0).unwrap_or(c),
        _ => c,
    }
}
