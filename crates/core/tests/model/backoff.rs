use std::time::Duration;

use drivetap_core::Backoff;
use proptest::prelude::*;

const SECOND: Duration = Duration::from_secs(1);

/// The smallest and largest of many n-th waits.
fn extremes(backoff: &Backoff, waits: usize) -> Vec<(Duration, Duration)> {
    let mut rng = fastrand::Rng::with_seed(7);
    let mut extremes = vec![(Duration::MAX, Duration::ZERO); waits];
    for _ in 0..2_000 {
        let mut backoff = backoff.clone();
        for (low, high) in &mut extremes {
            let wait = backoff.next(&mut rng);
            *low = wait.min(*low);
            *high = wait.max(*high);
        }
    }
    extremes
}

#[test]
fn waits_double_to_the_maximum_with_full_jitter() {
    let backoff = Backoff::try_new(SECOND, 60 * SECOND).unwrap();
    for ((low, high), bound) in extremes(&backoff, 9).into_iter().zip([1, 2, 4, 8, 16, 32, 60, 60, 60]) {
        let bound = bound * SECOND;
        assert!(high <= bound && high > bound * 95 / 100, "{high:?} of {bound:?}");
        assert!(low < bound / 20, "{low:?} of {bound:?}");
    }
}

#[test]
fn a_slow_wait_never_comes_before_its_minimum_and_is_spread_from_the_first() {
    let backoff = Backoff::try_slow(60 * SECOND, 900 * SECOND).unwrap();
    for ((low, high), bound) in extremes(&backoff, 6).into_iter().zip([120, 240, 480, 900, 900, 900]) {
        let (floor, bound) = (60 * SECOND, bound * SECOND);
        assert!(high <= bound && high > floor + (bound - floor) * 95 / 100, "{high:?} of {bound:?}");
        assert!(low >= floor && low < floor + (bound - floor) / 20, "{low:?} of {bound:?}");
    }
}

#[test]
fn success_starts_it_again() {
    let mut rng = fastrand::Rng::with_seed(1);
    let mut backoff = Backoff::try_new(SECOND, 60 * SECOND).unwrap();
    for n in 1..=10 {
        backoff.next(&mut rng);
        assert_eq!(backoff.attempts(), n);
    }
    backoff.reset();
    assert_eq!(backoff.attempts(), 0);
    assert!((0..100).all(|_| backoff.clone().next(&mut rng) <= SECOND));
}

#[test]
fn bounds_that_are_none_are_refused_with_both() {
    for (min, max) in [(Duration::ZERO, SECOND), (Duration::ZERO, Duration::ZERO), (2 * SECOND, SECOND)] {
        for error in [Backoff::try_new(min, max).unwrap_err(), Backoff::try_slow(min, max).unwrap_err()] {
            assert!(error.to_string().contains(&format!("from {min:?} to {max:?}")), "{error}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bounds_and_no_number_of_attempts_leave_the_bounds(
        min in 1..=u64::MAX, max in 1..=u64::MAX, unit in prop::sample::select(vec![1u32, 1_000_000_000]), seed: u64,
    ) {
        let unit = Duration::from_nanos(unit.into());
        let length = |n: u64| unit.checked_mul(u32::try_from(n >> 32).unwrap_or(u32::MAX)).unwrap_or(unit) + Duration::from_nanos(n);
        let (min, max) = (length(min).min(length(max)), length(min).max(length(max)));
        let mut rng = fastrand::Rng::with_seed(seed);
        let (mut plain, mut slow) = (Backoff::try_new(min, max).unwrap(), Backoff::try_slow(min, max).unwrap());
        for _ in 0..200 {
            prop_assert!(plain.next(&mut rng) <= max);
            prop_assert!((min..=max).contains(&slow.next(&mut rng)));
        }
        prop_assert_eq!(plain.attempts(), 200);
    }

    #[test]
    fn the_widest_bounds_there_are_do_not_overflow(seed: u64) {
        let mut rng = fastrand::Rng::with_seed(seed);
        for min in [Duration::from_nanos(1), SECOND, Duration::MAX] {
            let mut slow = Backoff::try_slow(min, Duration::MAX).unwrap();
            for _ in 0..200 {
                prop_assert!(slow.next(&mut rng) >= min);
            }
        }
    }
}
