//! A second node that a test can kill.

use engine::{Engine, Parts};
use tokio::runtime::Runtime;

/// An engine on its own runtime. Killing the node drops all its tasks wherever they are, which
/// looks like `kill -9` to the database and the provider.
pub struct Node {
    engine: Engine,
    runtime: Option<Runtime>,
}

impl Node {
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

    /// The node's engine. Tasks that the engine spawns run on the node's runtime.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Starts a task on the node. Killing the node drops the task.
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        if let Some(runtime) = &self.runtime {
            runtime.spawn(work);
        }
    }

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
