//! Timestamps of transactions.

use std::fmt;

/// 46 bits of milliseconds since the epoch, 18 bits of counter.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize, serde::Deserialize,
)]
#[serde(transparent)]
pub struct TimeStamp(u64);

const LOGICAL_BITS: u32 = 18;

impl TimeStamp {
    /// Before every transaction.
    pub const ZERO: Self = Self(0);
    /// After every transaction.
    pub const MAX: Self = Self(u64::MAX);
    /// Counters stay below this.
    pub const LOGICAL_MAX: u64 = (1 << LOGICAL_BITS) - 1;

    /// From the 64 bits of the wire.
    pub const fn new(bits: u64) -> Self {
        Self(bits)
    }

    /// From milliseconds and counter.
    pub const fn compose(physical_ms: u64, logical: u64) -> Self {
        Self((physical_ms << LOGICAL_BITS) + logical)
    }

    /// The 64 bits of the wire.
    pub const fn into_inner(self) -> u64 {
        self.0
    }

    /// Milliseconds since the epoch.
    pub const fn physical_ms(self) -> u64 {
        self.0 >> LOGICAL_BITS
    }

    /// The counter within the millisecond.
    pub const fn logical(self) -> u64 {
        self.0 & Self::LOGICAL_MAX
    }

    /// The next timestamp; MAX stays MAX.
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The previous timestamp; zero stays zero.
    pub const fn prev(self) -> Self {
        Self(self.0.saturating_sub(1))
    }

    /// Zero?
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// MAX?
    pub const fn is_max(self) -> bool {
        self.0 == u64::MAX
    }
}

impl From<u64> for TimeStamp {
    fn from(bits: u64) -> Self {
        Self(bits)
    }
}

impl From<TimeStamp> for u64 {
    fn from(ts: TimeStamp) -> u64 {
        ts.0
    }
}

impl fmt::Display for TimeStamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

macro_rules! role {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize, serde::Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub TimeStamp);

        impl $name {
            /// From the 64 bits of the wire.
            pub const fn new(bits: u64) -> Self {
                Self(TimeStamp::new(bits))
            }

            /// The 64 bits of the wire.
            pub const fn into_inner(self) -> u64 {
                self.0.into_inner()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

role! {
    /// Where a transaction began: what it reads is what was committed at or before.
    StartTs
}
role! {
    /// Where a transaction's writes become visible.
    CommitTs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn composes_as_pd_does() {
        let ts = TimeStamp::compose(1_735_689_600_000, 1);
        assert_eq!(ts.into_inner(), 455_000_614_502_400_001);
        assert_eq!((ts.physical_ms(), ts.logical()), (1_735_689_600_000, 1));
        assert_eq!(TimeStamp::MAX.next(), TimeStamp::MAX);
        assert_eq!(TimeStamp::ZERO.prev(), TimeStamp::ZERO);
    }
}
