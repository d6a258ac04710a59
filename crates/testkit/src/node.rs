//! A second node, which can be killed.

use engine::{Engine, Parts};
use tokio::runtime::Runtime;

/// An engine on a runtime of its own. Killing it drops whatever it was doing wherever it stood,
/// which is all that a database and a provider see of `kill -9`.
pub struct Node {
    engine: Engine,
    runtime: Option<Runtime>,
}

impl Node {
    /// Starts a node.
    pub fn start(parts: Parts) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let engine = {
            let _inside = runtime.enter();
            Engine::start(parts)
        };
        Self { engine, runtime: Some(runtime) }
    }

    /// The node's engine. What is spawned by it runs on the node.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Starts work on the node. When the node is killed first, it is never finished.
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        if let Some(runtime) = &self.runtime {
            runtime.spawn(work);
        }
    }

    /// Kills the node.
    pub fn kill(self) {
        drop(self);
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
