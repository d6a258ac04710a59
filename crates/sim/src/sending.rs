//! Stopping and starting the sending of refunds.

use crate::world::World;
use domain::administer::sending::ThrowSwitch;
use domain::sending::everyone;
use domain::tenant::Tenant;
use domain::time::Clock;
use engine::Engine;

impl World {
    /// A person starts the sending if it is stopped, else stops it. The node that was told sends nothing from
    /// then on.
    pub(crate) async fn throw_switch(&mut self) {
        let engine = self.any_node();
        if self.sending_is_stopped {
            return self.start_sending(&engine).await;
        }
        let reaches = [self.rig.tenant, everyone(self.rig.tenant.mode())];
        let reach = *self.rng.pick(&reaches).unwrap_or(&self.rig.tenant);
        self.stop_sending(&engine, reach).await;
        assert_eq!(self.work(&engine, 4).await, 0, "work goes on while the sending is stopped");
    }

    pub(crate) async fn stop_sending(&mut self, engine: &Engine, reach: Tenant) {
        self.network.counts.count("sending", "is stopped");
        throw(engine, reach, true).await;
        self.network.stop_sending(Some(self.rig.clock.now()));
        self.sending_is_stopped = true;
    }

    pub(crate) async fn start_sending(&mut self, engine: &Engine) {
        self.network.stop_sending(None);
        self.sending_is_stopped = false;
        for reach in [self.rig.tenant, everyone(self.rig.tenant.mode())] {
            throw(engine, reach, false).await;
        }
    }
}

async fn throw(engine: &Engine, tenant: Tenant, stop: bool) {
    let switch = ThrowSwitch { tenant, stop, reason: None, recorded_in: None };
    engine.throw_sending_switch(switch).await.expect("the switch is thrown");
}
