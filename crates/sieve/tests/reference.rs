//! The reference page says what the code says.

use sieve_analysis::reference_page;
use std::path::Path;

/// `MAILWARDEN_REWRITE=1 cargo test -p sieve-analysis --test reference` writes the page anew.
#[test]
fn the_page_is_that_of_the_vocabulary() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/sieve.md");
    if std::env::var_os("MAILWARDEN_REWRITE").is_some() {
        std::fs::write(&file, reference_page()).unwrap();
    }
    let page = std::fs::read_to_string(&file).unwrap();
    assert_eq!(page, reference_page(), "docs/reference/sieve.md is not that of the code");
}
