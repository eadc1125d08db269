//! Names for effects that survive a new layout of the script.

use crate::effects::Effect;
use std::collections::HashMap;

/// FNV-1a in 64 bits: short, stable over time and machines. It names, it does not protect.
fn fnv(bytes: impl Iterator<Item = u8>) -> u64 {
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Gives every effect its name: what it does to whom, and which of several alike it is.
pub(crate) fn name_all(effects: &mut [Effect]) {
    let mut seen: HashMap<u64, u32> = HashMap::with_capacity(effects.len());
    for effect in effects {
        let hash = hash_of(effect);
        let count = seen.entry(hash).or_insert(0);
        *count += 1;
        let short = (hash >> 32) as u32 ^ hash as u32;
        effect.id = match *count {
            1 => format!("{}-{short:08x}", effect.kind.name()),
            again => format!("{}-{short:08x}-{again}", effect.kind.name()),
        };
    }
}

fn hash_of(effect: &Effect) -> u64 {
    let targets = effect.targets.iter().flat_map(|target| target.text().bytes().chain([0]));
    let scripts = effect.via.iter().flat_map(|script| script.bytes().chain([0]));
    fnv(effect.kind.name().bytes().chain([0]).chain(targets).chain([1]).chain(scripts))
}
