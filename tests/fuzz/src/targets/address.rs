//! The readings of addresses: whatever a stranger writes, no panic, bounded readings, and each reading an
//! address.

use mailwarden_address::{
    Address, EnvelopeRecipient, EnvelopeSender, MAX_READINGS, display_name_addresses, read_address_header,
};

/// From, Sender and their like. The first octet chooses the field.
///
/// # Panics
/// When there are too many readings, or one does not read as itself.
pub fn header(octets: &[u8]) {
    let Some((choice, value)) = octets.split_first() else { return };
    let name = ["From", "Sender", "Resent-From"][usize::from(*choice) % 3];
    let reading = read_address_header(name, value);
    assert!(reading.readings.len() <= MAX_READINGS, "{} readings", reading.readings.len());
    for address in &reading.readings {
        assert_eq!(
            Address::parse(&address.to_string()).as_ref(),
            Ok(address),
            "a reading that is no address"
        );
    }
    let _ = display_name_addresses(value);
}

/// The arguments of MAIL and RCPT, with what the MTA makes of them behind the first line feed.
///
/// # Panics
/// When a recipient would be deleted by another spelling than its own.
pub fn envelope(octets: &[u8]) {
    let mut parts = octets.splitn(2, |octet| *octet == b'\n');
    let raw = parts.next().unwrap_or_default();
    let from_macro = parts.next();
    let _ = EnvelopeSender::read(raw, from_macro);
    let recipient = EnvelopeRecipient::read(raw, from_macro);
    let spelled = &recipient.delete_as;
    assert!(raw.windows(spelled.len().max(1)).any(|window| window == &spelled[..]) || spelled.is_empty());
}
