//! What holds for every input.

use mailwarden_address::{
    Address, Domain, EnvelopeRecipient, EnvelopeSender, MAX_READINGS, Verdict, display_name_addresses,
    read_address_header,
};
use proptest::prelude::*;

/// The characters that structure an address, that hide one, or that a parser trips over.
const HOSTILE: &str = "[<>()\",:;@\\\\ \t\0=?.%!\\[\\]\n]{0,12}";
/// The same with pieces that make encoded words, folds and other addresses.
fn garbage() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => HOSTILE.prop_map(String::from),
        1 => Just("=?utf-8?q?".to_owned()),
        1 => Just("=?utf-8?b?".to_owned()),
        1 => Just("?=".to_owned()),
        1 => Just("\n ".to_owned()),
        1 => Just("\u{202e}\u{200b}".to_owned()),
        1 => Just(" x@evil.test,".to_owned()),
    ];
    prop::collection::vec(piece, 0..5).prop_map(|pieces| pieces.concat())
}

fn domain() -> impl Strategy<Value = String> {
    "[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?(\\.[a-z]([a-z0-9-]{0,6}[a-z])?){1,3}"
}

fn dot_atom() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9!#$&'*+/=^_`{|}~-]{1,10}(\\.[a-zA-Z0-9+_-]{1,6}){0,2}"
        .prop_filter("an encoded word", |local| !local.contains("=?"))
}

/// Any quoted local part but one with brackets and parentheses, about which readers disagree.
fn quoted_local() -> impl Strategy<Value = String> {
    "\"([a-zA-Z0-9 .,;:@!]|\\\\[\"\\\\]){0,10}\""
}

fn addr_spec() -> impl Strategy<Value = String> {
    (prop_oneof![4 => dot_atom(), 1 => quoted_local()], domain())
        .prop_map(|(local, domain)| format!("{local}@{domain}"))
}

fn fold() -> impl Strategy<Value = &'static str> {
    prop_oneof![Just(" "), Just("\n "), Just("\r\n\t"), Just("\n \t"), Just("")]
}

fn display_name() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        3 => "[a-zA-Z0-9!#$&'*+/^_`{|}~-]{1,8}\\.?",
        1 => "[äöüßéλж例]{1,4}",
        2 => "\"([a-zA-Z0-9 <>()@,;:.!%=?\\[\\]]|\\\\[\"\\\\]){0,16}\""
            .prop_filter("an encoded word", |quoted| !quoted.contains("=?")),
        1 => Just("=?utf-8?q?ops=40corp.example?=".to_owned()),
        1 => Just("=?utf-8?B?b3BzQGNvcnAuZXhhbXBsZQ==?=".to_owned()),
        1 => Just("\"ops@corp.example <ops@corp.example>\"".to_owned()),
    ];
    prop::collection::vec(word, 0..4).prop_map(|words| words.join(" "))
}

fn outside_quotes(value: &str) -> String {
    let (mut quoted, mut escaped) = (false, false);
    let mut outside = String::new();
    for c in value.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => quoted = !quoted,
            _ if !quoted => outside.push(c),
            _ => {}
        }
    }
    outside
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 1024,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_bytes_are_read_within_bounds(value in prop::collection::vec(any::<u8>(), 0..300)) {
        let reading = read_address_header("From", &value);
        prop_assert!(reading.readings.len() <= MAX_READINGS);
        prop_assert!(display_name_addresses(&value).len() <= MAX_READINGS);
        let sender = EnvelopeSender::read(&value, Some(&value));
        prop_assert!(sender.readings.len() <= MAX_READINGS);
        let recipient = EnvelopeRecipient::read(&value, Some(&value));
        prop_assert!(recipient.delete_as.len() <= value.len());
    }

    #[test]
    fn any_structured_text_is_read_within_bounds(
        value in "[<>()\",:;@\\\\ \t\r\n\0=?.%!a-dübBqQ8é\u{200b}\\[\\]-]{0,120}",
    ) {
        let reading = read_address_header("From", value.as_bytes());
        for address in &reading.readings {
            prop_assert_eq!(&Address::parse(&address.to_string()).unwrap(), address);
        }
        for address in EnvelopeSender::read(value.as_bytes(), None).readings {
            prop_assert_eq!(Address::parse(&address.to_string()), Ok(address));
        }
        if let Some(address) = EnvelopeRecipient::read(value.as_bytes(), None).address {
            prop_assert_eq!(Address::parse(&address.to_string()), Ok(address));
        }
        for address in display_name_addresses(value.as_bytes()) {
            prop_assert_eq!(Address::parse(&address.to_string()), Ok(address));
        }
    }

    #[test]
    fn a_valid_mailbox_is_one_reading(
        name in display_name(), address in addr_spec(), lead in fold(), middle in fold(),
        bare in any::<bool>(),
    ) {
        let mailbox = if bare { address.clone() } else { format!("{name}{middle}<{address}>") };
        let value = format!("{lead}{mailbox}\n");
        let reading = read_address_header("From", value.as_bytes());
        let expected = Address::parse(&address).unwrap();
        prop_assert_eq!(&reading.verdict, &Verdict::One(expected.clone()), "{:?}", value);
        prop_assert_eq!(reading.readings, vec![expected]);
    }

    #[test]
    fn a_valid_list_reads_each_member(boxes in prop::collection::vec((display_name(), addr_spec()), 2..5)) {
        let value: Vec<String> = boxes.iter().map(|(name, address)| format!("{name} <{address}>")).collect();
        let reading = read_address_header("From", value.join(",\n ").as_bytes());
        let expected: Vec<Address> =
            boxes.iter().map(|(_, address)| Address::parse(address).unwrap()).collect();
        prop_assert_eq!(&reading.verdict, &Verdict::Many(expected.clone()), "{:?}", value);
        prop_assert!(expected.iter().all(|address| reading.readings.contains(address)));
    }

    /// The shape of every known attack is a second address that only some reader sees.
    #[test]
    fn one_reading_means_one_at_sign_outside_quotes(
        pieces in prop::collection::vec(prop_oneof![garbage(), display_name(), addr_spec(),
            addr_spec().prop_map(|address| format!("<{address}>"))], 1..4),
    ) {
        let value = pieces.join(" ");
        let reading = read_address_header("From", value.as_bytes());
        if let Verdict::One(address) = &reading.verdict {
            let outside: String = outside_quotes(&value);
            let outside = outside.trim_end().strip_suffix(')').map_or(&*outside, |rest| {
                // The one comment that is a name: plain, and at the very end.
                rest.rsplit_once('(').map_or(rest, |(mailbox, _)| mailbox)
            });
            prop_assert_eq!(outside.matches('@').count(), 1, "{:?}", value);
            prop_assert!(!outside.contains(['(', ')', '[', ']', ',', ';', ':', '\0']), "{:?}", value);
            prop_assert!(outside.to_lowercase().contains(&format!("@{}", address.domain())), "{:?}", value);
            prop_assert_eq!(&reading.readings, std::slice::from_ref(address));
        }
    }

    #[test]
    fn an_address_in_garbage_is_always_found(
        prefix in garbage(), suffix in garbage(), local in dot_atom(), domain in domain(),
    ) {
        let value = format!("{prefix}{local}@{domain}{suffix}");
        let reading = read_address_header("From", value.as_bytes());
        let well_formed = matches!(reading.verdict, Verdict::One(_) | Verdict::Many(_));
        let hidden = Domain::parse(&domain).unwrap();
        let found = reading.readings.iter().any(|reading| *reading.domain() == hidden);
        prop_assert!(found || well_formed || reading.truncated, "{:?} {:?}", value, reading);
    }

    #[test]
    fn a_hidden_local_part_is_found_where_white_space_or_brackets_set_it_off(
        prefix in garbage(), suffix in garbage(), local in "[a-z]{1,8}", domain in domain(),
    ) {
        let value = format!("{prefix}<{local}@{domain}>{suffix}");
        let reading = read_address_header("From", value.as_bytes());
        let well_formed = matches!(reading.verdict, Verdict::One(_) | Verdict::Many(_));
        let hidden = Address::parse(&format!("{local}@{domain}")).unwrap();
        prop_assert!(reading.readings.contains(&hidden) || well_formed || reading.truncated, "{:?}", value);
    }

    #[test]
    fn a_sender_in_garbage_is_always_found(
        prefix in garbage(), suffix in garbage(), local in dot_atom(), domain in domain(),
    ) {
        let value = format!("<{prefix}{local}@{domain}{suffix}>");
        let sender = EnvelopeSender::read(value.as_bytes(), None);
        let hidden = Domain::parse(&domain).unwrap();
        let only_routed_or_quoted = sender.readings.len() == 1 && !sender.truncated;
        let found = sender.readings.iter().any(|reading| *reading.domain() == hidden);
        prop_assert!(found || only_routed_or_quoted || sender.truncated, "{:?} {:?}", value, sender);
    }

    #[test]
    fn an_address_survives_being_written_and_read(address in addr_spec()) {
        let once = Address::parse(&address).unwrap();
        let twice = Address::parse(&once.to_string()).unwrap();
        prop_assert_eq!(once.local(), twice.local());
        prop_assert_eq!(once.to_string(), twice.to_string());
        prop_assert_eq!(once.key(), twice.key());
        prop_assert_eq!(Address::parse(&address.to_uppercase()).unwrap(), once);
    }

    #[test]
    fn a_domain_survives_being_written_and_read(text in "\\PC{0,20}(\\.\\PC{1,10}){0,2}") {
        if let Ok(once) = Domain::parse(&text) {
            prop_assert_eq!(Domain::parse(once.as_str()), Ok(once.clone()));
            prop_assert_eq!(once.as_str().to_ascii_lowercase(), once.as_str());
            prop_assert_eq!(Domain::parse(&format!("{once}.")), Ok(once));
        }
    }

    #[test]
    fn the_key_decides_equality(a in "[a-bA-B\u{3c3}\u{3c2}\u{3a3}]{1,3}", b in "[a-bAσς]{1,3}") {
        let address = |local: &str| Address::parse(&format!("{local}@d.test")).unwrap();
        let (a, b) = (address(&a), address(&b));
        prop_assert_eq!(a == b, a.key() == b.key());
        prop_assert_eq!(a.cmp(&b).is_eq(), a == b);
    }
}
