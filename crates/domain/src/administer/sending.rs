//! Stopping and starting all sending.

use crate::event::{Detail, Event, SendingDetail, Subject, Type};
use crate::ids::{AccountId, Ids};
use crate::sending::{Reach, Switch};
use crate::tenant::Tenant;
use crate::time::Timestamp;
use crate::view::{Row, RowKeys, View};
use rand_core::Rng;

/// Throws a switch.
#[derive(Clone, Debug)]
pub struct ThrowSwitch {
    /// The tenant whose switch it is, or [`everyone`](crate::sending::everyone).
    pub tenant: Tenant,
    pub stop: bool,
    pub reason: Option<Box<str>>,
    /// The account, and its tenant, in which the event is recorded.
    pub recorded_in: Option<(Tenant, AccountId)>,
}

impl ThrowSwitch {
    /// The rows that it needs.
    pub fn wanted(&self) -> RowKeys {
        let mut wanted = RowKeys::default();
        wanted.sending.insert(self.tenant);
        wanted.sending.extend(self.recorded_in.map(|(tenant, _)| tenant));
        wanted
    }
}

/// Throws a switch. `false` when it stands like that already.
pub fn throw<R: Rng>(
    view: &mut View,
    throw: &ThrowSwitch,
    now: Timestamp,
    ids: &mut Ids<R>,
) -> bool {
    let stopped = view.sending.get(&throw.tenant).is_some_and(|row| row.value.stopped);
    if stopped == throw.stop {
        return false;
    }
    let switch = switch(view, throw.tenant, now);
    switch.stopped = throw.stop;
    switch.reason.clone_from(&throw.reason);
    switch.thrown_at = Some(now);
    let Some((tenant, account)) = throw.recorded_in else { return true };
    let own = self::switch(view, tenant, now);
    own.last_seq = own.last_seq.saturating_add(1);
    let seq = own.last_seq;
    let told = SendingDetail {
        stopped: throw.stop,
        reach: Reach::of(throw.tenant).as_str().into(),
        reason: throw.reason.clone(),
    };
    view.new_rows.events.push(Event {
        tenant,
        id: ids.event(now),
        event_type: if throw.stop { Type::SendingStopped } else { Type::SendingStarted },
        subject: Subject::Sending(account),
        seq,
        detail: Some(Box::new(Detail { sending: Some(told), ..Detail::default() })),
    });
    true
}

/// The row of a switch, to be changed. A switch that was never thrown has none.
fn switch(view: &mut View, tenant: Tenant, now: Timestamp) -> &mut Switch {
    let new = || {
        Row::inserted(Switch {
            tenant,
            stopped: false,
            reason: None,
            thrown_at: None,
            updated_at: now,
            last_seq: 0,
        })
    };
    let switch = view.sending.entry(tenant).or_insert_with(new).change();
    switch.updated_at = now;
    switch
}
