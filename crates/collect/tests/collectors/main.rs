//! The collectors against servers that mean harm and against the real ones.

#[cfg(test)]
mod dovecot;
#[cfg(test)]
mod fake;
#[cfg(test)]
mod hostile_imap;
#[cfg(test)]
mod hostile_managesieve;
#[cfg(test)]
mod postfix;
#[cfg(test)]
mod rounds;
