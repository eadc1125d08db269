//! What a program asks of the C library, read from the program.

/// The newest version of glibc whose symbols a program uses, as `(major, minor)`; none for a static one.
pub(super) fn newest_glibc(program: &[u8]) -> Option<(u32, u32)> {
    const MARK: &[u8] = b"GLIBC_";
    let starts = program.windows(MARK.len()).enumerate().filter(|(_, window)| *window == MARK);
    starts.filter_map(|(at, _)| version(&program[at + MARK.len()..])).max()
}

/// `2.34` up to the NUL that ends it; names such as `GLIBC_PRIVATE` are no versions.
fn version(text: &[u8]) -> Option<(u32, u32)> {
    let end = text.iter().take(16).position(|byte| *byte == 0)?;
    let (major, minor) = std::str::from_utf8(&text[..end]).ok()?.split_once('.')?;
    let minor = minor.split('.').next()?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_counts_and_names_that_are_none_do_not() {
        let program = b"x\0GLIBC_2.2.5\0GLIBC_2.34\0GLIBC_PRIVATE\0GLIBC_2.9\0GLIBC_2.99";
        assert_eq!(newest_glibc(program), Some((2, 34)));
        assert_eq!(newest_glibc(b"static"), None);
    }
}
