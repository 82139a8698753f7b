//! The one source of chance: a seed in the configuration, a small generator in the state.
//!
//! `SplitMix64` (Steele, Lea, Flood, OOPSLA 2014): eight bytes of state, every state valid. It
//! spreads election timeouts; nothing that needs secrecy may use it.

/// A seeded generator; equal seeds give equal draws on every target.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Rng(u64);

impl Rng {
    /// A generator that starts at `seed`.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, or zero if `bound` is zero. Scales by multiplication, so that even
    /// a bound of a few units keeps its spread.
    pub fn below(&mut self, bound: u64) -> u64 {
        let wide = u128::from(self.draw()).wrapping_mul(u128::from(bound));
        u64::try_from(wide >> 64).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_match_the_published_sequence_of_splitmix64() {
        let mut rng = Rng::new(1_234_567);
        assert_eq!(rng.draw(), 6_457_827_717_110_365_317);
        assert_eq!(rng.draw(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn small_bounds_keep_their_spread() {
        let mut rng = Rng::new(7);
        let mut seen = [0_u32; 3];
        for _ in 0..300 {
            seen[usize::try_from(rng.below(3)).unwrap()] += 1;
        }
        assert!(seen.iter().all(|&n| n > 60), "{seen:?}");
        assert_eq!(rng.below(0), 0);
        assert_eq!(rng.below(1), 0);
    }
}
