//! Slots of calls under way, and the part of them that is kept for new refunds.

use super::wait::Wait;
use domain::time::Timestamp;

/// For how long due work that was turned away counts as waiting. Steps look again every second.
const DUE_WAITS_MS: i64 = 10_000;

/// The work that a call is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// A refund that is sent as soon as it is committed.
    New,
    /// Something that a step found due.
    Due,
}

/// The work that asks, and whether other work waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asking {
    Due,
    New,
    /// A new refund while due work waits. With nothing to divide they alternate.
    NewBesideDue {
        its_turn: bool,
    },
}

impl Asking {
    /// Whether a new refund may take the only slot or call that there is.
    pub(super) fn may_take_the_only_one(self) -> bool {
        !matches!(self, Self::NewBesideDue { its_turn: false })
    }
}

/// How many of `all` are kept for new refunds: a quarter, and at least one where there are two.
pub(super) fn kept_for_new(all: u32) -> u32 {
    (all / 4).max(1).min(all.saturating_sub(1))
}

/// The slots that are taken, of a gate or of the whole node.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Slots {
    new: u32,
    due: u32,
    due_waits: Option<Wait>,
    new_went_last: bool,
}

impl Slots {
    pub(super) fn taken(&self) -> u32 {
        self.new.saturating_add(self.due)
    }

    pub(super) fn taken_by(&self, work: Work) -> u32 {
        match work {
            Work::New => self.new,
            Work::Due => self.due,
        }
    }

    pub(super) fn asking(&self, work: Work, now: Timestamp) -> Asking {
        match work {
            Work::Due => Asking::Due,
            Work::New if self.due_waits.and_then(|wait| wait.end(now)).is_some() => {
                Asking::NewBesideDue { its_turn: !self.new_went_last }
            }
            Work::New => Asking::New,
        }
    }

    /// How many more of `all` slots may be taken.
    pub(super) fn free(&self, all: u32, asking: Asking) -> u32 {
        let kept = kept_for_new(all);
        let free = all.saturating_sub(self.taken());
        match asking {
            Asking::Due => free.min(all.saturating_sub(kept).saturating_sub(self.due)),
            Asking::New => free,
            Asking::NewBesideDue { .. } if kept > 0 => free.min(kept.saturating_sub(self.new)),
            Asking::NewBesideDue { .. } if asking.may_take_the_only_one() => free,
            Asking::NewBesideDue { .. } => 0,
        }
    }

    pub(super) fn take(&mut self, work: Work) {
        match work {
            Work::New => self.new += 1,
            Work::Due => {
                self.due += 1;
                self.due_waits = None;
            }
        }
        self.new_went_last = work == Work::New;
    }

    pub(super) fn give_back(&mut self, work: Work) {
        match work {
            Work::New => self.new = self.new.saturating_sub(1),
            Work::Due => self.due = self.due.saturating_sub(1),
        }
    }

    /// Due work was turned away: until it gets in, new refunds keep to their part.
    pub(super) fn turn_due_away(&mut self, now: Timestamp) {
        self.due_waits = Some(Wait::new(now, DUE_WAITS_MS));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_000);

    fn free(slots: &Slots, all: u32, work: Work) -> u32 {
        slots.free(all, slots.asking(work, NOW))
    }

    fn take_all(slots: &mut Slots, all: u32, work: Work) -> u32 {
        let before = slots.taken();
        while free(slots, all, work) > 0 {
            slots.take(work);
        }
        slots.taken() - before
    }

    #[test]
    fn a_quarter_is_kept_and_at_least_one_of_two() {
        for (all, kept) in [(0, 0), (1, 0), (2, 1), (3, 1), (4, 1), (7, 1), (8, 2), (256, 64)] {
            assert_eq!(kept_for_new(all), kept, "of {all}");
        }
    }

    #[test]
    fn due_work_leaves_the_kept_slots_to_new_refunds() {
        let mut slots = Slots::default();
        assert_eq!(take_all(&mut slots, 16, Work::Due), 12);
        slots.turn_due_away(NOW);
        assert_eq!(take_all(&mut slots, 16, Work::New), 4);
    }

    #[test]
    fn new_refunds_take_everything_only_while_no_due_work_waits() {
        let mut slots = Slots::default();
        assert_eq!(take_all(&mut slots, 16, Work::New), 16);
        assert_eq!(free(&slots, 16, Work::Due), 0);
        slots.turn_due_away(NOW);
        for _ in 0..13 {
            assert_eq!(free(&slots, 16, Work::New), 0);
            slots.give_back(Work::New);
        }
        assert_eq!(free(&slots, 16, Work::New), 1);
        assert_eq!(take_all(&mut slots, 16, Work::Due), 12);
    }

    #[test]
    fn the_only_slot_alternates_while_due_work_waits() {
        let mut slots = Slots::default();
        slots.take(Work::New);
        slots.turn_due_away(NOW);
        slots.give_back(Work::New);
        assert_eq!(free(&slots, 1, Work::New), 0);
        assert_eq!(free(&slots, 1, Work::Due), 1);
        slots.take(Work::Due);
        slots.turn_due_away(NOW);
        slots.give_back(Work::Due);
        assert_eq!(free(&slots, 1, Work::New), 1);
    }

    #[test]
    fn due_work_that_got_in_does_not_wait_any_more() {
        let mut slots = Slots::default();
        slots.turn_due_away(NOW);
        assert_eq!(free(&slots, 16, Work::New), 4);
        slots.take(Work::Due);
        assert_eq!(free(&slots, 16, Work::New), 15);
    }

    #[test]
    fn due_work_that_does_not_come_back_is_not_waited_for() {
        let mut slots = Slots::default();
        slots.turn_due_away(NOW);
        let later = NOW.plus_ms(DUE_WAITS_MS);
        assert_eq!(
            slots.asking(Work::New, later.plus_ms(-1)),
            Asking::NewBesideDue { its_turn: true }
        );
        assert_eq!(slots.asking(Work::New, later), Asking::New);
    }
}
