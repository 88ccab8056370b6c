//! Text that is shown to people.

use resetmon::text::{printable, printable_bytes};

use crate::mutate::{self, Bytes, steers};
use crate::random::Random;
use crate::run::Target;

/// Any bytes, shown.
#[derive(Debug, Default)]
pub(crate) struct Texts;

impl Target for Texts {
    const NAME: &'static str = "printable";
    const QUICK: u64 = 60_000;
    const REFUSES: bool = false;
    type Input = (Bytes, usize);

    fn make(&mut self, random: &mut Random) -> (Bytes, usize) {
        let mut bytes = mutate::text(random).into_bytes();
        if random.one_in(3) && !bytes.is_empty() {
            let at = random.below(bytes.len());
            bytes[at] = random.byte();
            bytes.truncate(at + 1 + random.below(8));
        }
        (Bytes(bytes), random.below(64))
    }

    fn check(&mut self, (bytes, most): &(Bytes, usize)) -> bool {
        let shown = printable_bytes(&bytes.0, *most);
        assert!(!shown.contains(steers), "{shown:?}");
        assert!(shown.chars().count() <= (*most).max(1), "{shown:?}");
        let text = String::from_utf8_lossy(&bytes.0);
        let safe = printable(&text);
        assert!(!safe.contains(steers), "{safe:?}");
        assert_eq!(printable(&safe), safe);
        if !text.contains(steers) {
            assert_eq!(safe, text);
        }
        if safe.chars().count() <= *most {
            assert_eq!(shown, safe);
        }
        true
    }
}
