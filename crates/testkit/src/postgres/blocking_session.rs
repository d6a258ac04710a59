//! A database session outside of Refundry.

use std::sync::mpsc;
use tokio_postgres::NoTls;

/// A connection to PostgreSQL that a test uses like a second program. Its methods block the calling
/// thread.
pub struct BlockingSession {
    statements: mpsc::Sender<String>,
    answers: mpsc::Receiver<Result<u64, String>>,
}

impl BlockingSession {
    pub fn connect(url: &str) -> Self {
        let (statements, inbox) = mpsc::channel::<String>();
        let (outbox, answers) = mpsc::channel();
        let url = url.to_owned();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.expect("a runtime");
            let (client, connection) =
                runtime.block_on(tokio_postgres::connect(&url, NoTls)).expect("a connection");
            let connection = runtime.spawn(connection);
            while let Ok(sql) = inbox.recv() {
                let done = runtime.block_on(client.simple_query(&sql));
                let rows = |messages: Vec<_>| {
                    messages
                        .iter()
                        .map(|message| match message {
                            tokio_postgres::SimpleQueryMessage::CommandComplete(rows) => *rows,
                            _ => 0,
                        })
                        .sum()
                };
                if outbox.send(done.map(rows).map_err(|error| format!("{error:?}"))).is_err() {
                    break;
                }
            }
            connection.abort();
        });
        Self { statements, answers }
    }

    /// Runs SQL and returns the number of changed rows.
    pub fn run(&self, sql: &str) -> u64 {
        self.statements.send(sql.to_owned()).expect("the connection lives");
        let answer = self.answers.recv_timeout(crate::LIMIT).expect("an answer");
        answer.unwrap_or_else(|error| panic!("{sql}: {error}"))
    }
}
