//! Runs all points of the benchmark in their order.

use crate::database::{self, SqliteDatabase};
use crate::hanging;
use crate::in_process::{CLIENTS, Comparison};
use crate::measure::{Latencies, Stopwatch, median, sleep_blocking, to_f64};
use crate::over_http::{self, Rounds, serve_axum_only, wrk_load};
use crate::pg::{self, PostgresDatabase};
use crate::process::CpuTicks;
use crate::report::{Bound, Machine, Report};
use crate::webhooks;
use crate::wrk::Wrk;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Points to measure, and settings.
pub struct Plan {
    pub binary: PathBuf,
    /// Folder for the databases, on the disk to measure.
    pub under: PathBuf,
    /// Letters of the points, `a` to `j`.
    pub points: Vec<char>,
    /// Shorter and rougher.
    pub quick: bool,
}

impl Plan {
    fn wants(&self, point: char) -> bool {
        self.points.contains(&point)
    }

    fn rounds(&self) -> usize {
        if self.quick { 1 } else { 3 }
    }

    fn duration(&self) -> Duration {
        Duration::from_secs(if self.quick { 2 } else { 5 })
    }

    fn stored(&self) -> u64 {
        if self.quick { 100_000 } else { 1_000_000 }
    }
}

/// Results that the ratios are computed from.
#[derive(Default)]
struct Loads {
    axum_64: Rounds,
    axum_256: Rounds,
    refundry_64: Rounds,
    refundry_256: Rounds,
    full_64: Rounds,
    full_256: Rounds,
    empty: Comparison,
    full: Comparison,
}

/// Measures all points of the plan.
pub fn run(plan: &Plan) -> Result<Report> {
    let (before, stopwatch) = (CpuTicks::now()?, Stopwatch::start());
    let mut report = Report { quick: plan.quick, ..Report::default() };
    let mut loads = Loads::default();
    print_progress("preparing a database with payments");
    let sqlite = SqliteDatabase::new(&plan.under, &plan.binary)?;
    let wrk = Wrk::new(&sqlite.targets)?;
    if plan.wants('f') {
        idle(plan, &mut report)?;
    }
    if plan.wants('a') || plan.wants('b') {
        http_alone_and_refunds(plan, &sqlite, &wrk, &mut loads, &mut report)?;
    }
    if plan.wants('c') {
        completed_refunds(plan, &sqlite, &wrk, &loads, &mut report)?;
    }
    if plan.wants('d') {
        for round in 1..=plan.rounds() {
            print_progress(&format!("(d) the committer and SQLite alone, round {round}"));
            loads.empty.round_on_copies(&sqlite, &plan.under, plan.duration())?;
        }
        comparison_figures(&mut report, 'd', "empty store", &loads.empty);
        let ratio = loads.empty.ratio();
        let target = (Bound::AtLeast, 0.8);
        report.check('d', "committer / SQLite alone, in process", ratio, target, "");
    }
    if plan.wants('e') {
        full_sqlite(plan, &sqlite, &wrk, &mut loads, &mut report)?;
    }
    if plan.wants('g') {
        webhook_speed(plan, &sqlite, &mut report)?;
    }
    drop(sqlite);
    if plan.wants('j') {
        beside_a_hanging_provider(plan, &mut report)?;
    }
    if plan.wants('h') || plan.wants('i') {
        postgres_nodes(plan, &mut report)?;
    }
    let used = CpuTicks::now()?.others_since(before, stopwatch.elapsed());
    report.machine = machine(used);
    Ok(report)
}

/// (f), the part that needs no load: start and idle memory.
fn idle(plan: &Plan, report: &mut Report) -> Result<()> {
    let starts = if plan.quick { 3 } else { 9 };
    print_progress("(f) starting on an empty folder");
    let (mut first, mut again, mut resident) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..starts {
        let folder = tempfile::Builder::new().prefix("refundry-bench-").tempdir_in(&plan.under)?;
        let server = database::serve(&plan.binary, folder.path(), true, None)?;
        first.push(server.first_answer.as_secs_f64() * 1000.0);
        sleep_blocking(Duration::from_millis(300));
        resident.push(server.memory_mb()?.0);
        server.stop()?;
        let server = database::serve(&plan.binary, folder.path(), true, None)?;
        again.push(server.first_answer.as_secs_f64() * 1000.0);
        server.stop()?;
    }
    let size = std::fs::metadata(&plan.binary).context("the server's binary")?.len();
    report.figure('f', "binary", to_f64(size) / 1e6, "MB");
    report.figure('f', "start to first answer, existing database", median(again), "ms");
    let target = (Bound::Below, 300.0);
    report.check('f', "start to first answer, empty database", median(first), target, "ms");
    report.check('f', "resident memory, idle", median(resident), (Bound::Below, 40.0), "MB");
    Ok(())
}

/// (a) and (b), in alternation, so that both run under the same conditions.
fn http_alone_and_refunds(
    plan: &Plan,
    sqlite: &SqliteDatabase,
    wrk: &Wrk,
    loads: &mut Loads,
    report: &mut Report,
) -> Result<()> {
    let mut peaks = Vec::new();
    for round in 1..=plan.rounds() {
        if plan.wants('a') {
            print_progress(&format!("(a) axum only, round {round}"));
            let server = serve_axum_only(wrk)?;
            let address = server.address.to_string();
            for (rounds, connections) in [(&mut loads.axum_64, 64), (&mut loads.axum_256, 256)] {
                rounds.round(wrk, &wrk_load(&address, "none", connections, plan.duration()))?;
            }
        }
        if plan.wants('b') {
            print_progress(&format!("(b) refunds over HTTP, round {round}"));
            let rounds = [(&mut loads.refundry_64, 64), (&mut loads.refundry_256, 256)];
            for (rounds, connections) in rounds {
                let copy = sqlite.copy(&plan.under)?;
                peaks.push(refunds(&copy, wrk, rounds, connections, plan.duration())?);
            }
        }
    }
    if plan.wants('a') {
        http_figures(report, 'a', "axum only, 64 connections", &loads.axum_64);
        http_figures(report, 'a', "axum only, 256 connections", &loads.axum_256);
        let errors = to_f64(loads.axum_64.errors() + loads.axum_256.errors());
        report.check('a', "requests that failed", errors, (Bound::Exactly, 0.0), "");
    }
    if plan.wants('b') {
        http_figures(report, 'b', "refunds, 64 connections", &loads.refundry_64);
        http_figures(report, 'b', "refunds, 256 connections", &loads.refundry_256);
        report.figure('f', "resident memory under load, at its highest", median(peaks), "MB");
        let p99 = loads.refundry_64.latencies().p99_ms;
        report.check('b', "99 of 100 refunds, 64 connections", p99, (Bound::Below, 50.0), "ms");
        let errors = to_f64(loads.refundry_64.errors() + loads.refundry_256.errors());
        report.check('b', "refunds that failed", errors, (Bound::Exactly, 0.0), "");
    }
    if plan.wants('a') && plan.wants('b') {
        let ratio = loads.refundry_256.rate() / loads.axum_256.rate();
        let target = (Bound::AtLeast, 0.25);
        report.check('b', "refunds / axum only, 256 connections", ratio, target, "");
    }
    Ok(())
}

/// Runs one round of refunds over HTTP; they stay queued. Returns the server's peak memory, in MB.
fn refunds(
    sqlite: &SqliteDatabase,
    wrk: &Wrk,
    rounds: &mut Rounds,
    connections: u32,
    duration: Duration,
) -> Result<f64> {
    let server = sqlite.serve(false)?;
    let address = server.address.to_string();
    rounds.round(wrk, &wrk_load(&address, sqlite.bearer(), connections, duration))?;
    let (_, peak) = server.memory_mb()?;
    server.stop()?;
    Ok(peak)
}

/// (c): refunds from creation to success.
fn completed_refunds(
    plan: &Plan,
    sqlite: &SqliteDatabase,
    wrk: &Wrk,
    loads: &Loads,
    report: &mut Report,
) -> Result<()> {
    let (mut rates, mut tails, mut errors) = (Vec::new(), Vec::new(), 0);
    for round in 1..=plan.rounds() {
        print_progress(&format!("(c) completed refunds, round {round}"));
        let completed =
            over_http::run_to_completion(&sqlite.copy(&plan.under)?, wrk, plan.duration())?;
        rates.push(completed.rate());
        tails.push(completed.tail_seconds);
        errors += completed.errors;
    }
    let rate = median(rates);
    report.figure('c', "completed refunds, 64 connections", rate, "/s");
    report.figure('c', "from the last request to the last success", median(tails), "s");
    report.check('c', "refunds that failed", to_f64(errors), (Bound::Exactly, 0.0), "");
    if !loads.refundry_64.is_empty() {
        let ratio = rate / loads.refundry_64.rate();
        let target = (Bound::AtLeast, 0.3);
        report.check('c', "completed refunds / refunds, 64 connections", ratio, target, "");
    }
    Ok(())
}

/// (e): (b) and (d) on a full database.
fn full_sqlite(
    plan: &Plan,
    sqlite: &SqliteDatabase,
    wrk: &Wrk,
    loads: &mut Loads,
    report: &mut Report,
) -> Result<()> {
    let stored = plan.stored();
    print_progress(&format!("(e) storing {stored} refunds"));
    let stopwatch = Stopwatch::start();
    let full = sqlite.copy(&plan.under)?;
    full.fill(stored)?;
    report.figure('e', "time to prepare the full store", stopwatch.elapsed().as_secs_f64(), "s");
    let bytes = std::fs::metadata(full.file())?.len();
    report.figure('e', "full store", to_f64(bytes) / 1e6, "MB");
    let mut peaks = Vec::new();
    for round in 1..=plan.rounds() {
        if plan.wants('b') {
            print_progress(&format!("(e) refunds over HTTP, full store, round {round}"));
            for (rounds, connections) in [(&mut loads.full_64, 64), (&mut loads.full_256, 256)] {
                peaks.push(refunds(&full, wrk, rounds, connections, plan.duration())?);
            }
        }
        if plan.wants('d') {
            print_progress(&format!(
                "(e) the committer and SQLite alone, full store, round {round}"
            ));
            loads.full.round(&full, &full, plan.duration())?;
        }
    }
    if plan.wants('b') {
        http_figures(report, 'e', "refunds, full store, 64 connections", &loads.full_64);
        http_figures(report, 'e', "refunds, full store, 256 connections", &loads.full_256);
        report.figure('f', "resident memory under load, full store", median(peaks), "MB");
        let errors = to_f64(loads.full_64.errors() + loads.full_256.errors());
        report.check('e', "refunds that failed", errors, (Bound::Exactly, 0.0), "");
        let ratio = loads.full_256.rate() / loads.refundry_256.rate();
        let name = "full / empty store, refunds, 256 connections";
        report.check('e', name, ratio, (Bound::AtLeast, 0.7), "");
    }
    if plan.wants('d') {
        comparison_figures(report, 'e', "full store", &loads.full);
        let ratio = loads.full.committer_rate() / loads.empty.committer_rate();
        let name = "full / empty store, committer in process";
        report.check('e', name, ratio, (Bound::AtLeast, 0.7), "");
    }
    full.verify().context("the books after (e)")?;
    Ok(())
}

/// (j): refunds at one provider beside the backlog of another one that hangs.
fn beside_a_hanging_provider(plan: &Plan, report: &mut Report) -> Result<()> {
    let backlog = if plan.quick { 20_000 } else { 1_000_000 };
    print_progress(&format!("(j) refunds beside {backlog} due ones of a provider that hangs"));
    let folder = tempfile::Builder::new().prefix("refundry-bench-").tempdir_in(&plan.under)?;
    let found = database::in_runtime(hanging::run(folder.path(), backlog))?;
    report.figure('j', "refund to success, p50, usual", found.usual.p50_ms, "ms");
    report.figure('j', "refund to success, p50, beside the backlog", found.beside.p50_ms, "ms");
    let ratio = found.beside.p50_ms / found.usual.p50_ms;
    report.check('j', "beside the backlog / usual, p50", ratio, (Bound::Below, 2.0), "");
    let ratio = found.beside.p99_ms / found.usual.p99_ms;
    report.check('j', "beside the backlog / usual, p99", ratio, (Bound::Below, 2.0), "");
    Ok(())
}

/// (g): webhooks.
fn webhook_speed(plan: &Plan, sqlite: &SqliteDatabase, report: &mut Report) -> Result<()> {
    let mut faults = 0;
    let (mut rates, mut tails) = (Vec::new(), Vec::new());
    for round in 1..=plan.rounds() {
        print_progress(&format!(
            "(g) webhooks of {} refunds per second, round {round}",
            webhooks::STEADY
        ));
        let flow = webhooks::send_while_creating(
            &sqlite.copy(&plan.under)?,
            &webhooks::STEADY,
            plan.duration(),
        )?;
        rates.push(flow.per_second);
        tails.push(flow.tail_ms);
        faults += flow.faults;
    }
    let mut latencies = Vec::new();
    for round in 1..=plan.rounds() {
        print_progress(&format!(
            "(g) webhooks of {} refunds per second, round {round}",
            webhooks::CALM
        ));
        let flow = webhooks::send_while_creating(
            &sqlite.copy(&plan.under)?,
            &webhooks::CALM,
            plan.duration(),
        )?;
        latencies.push(flow.latencies);
        faults += flow.faults;
    }
    let backlog = if plan.quick { 10_000 } else { 100_000 };
    print_progress(&format!("(g) a backlog of {backlog} webhooks"));
    let backlog_result = webhooks::send_backlog(&sqlite.copy(&plan.under)?, backlog)?;
    faults += backlog_result.faults;

    let steady = format!("webhooks, {} refunds/s", webhooks::STEADY);
    let calm = format!("create to webhook, {} refunds/s", webhooks::CALM);
    let of = |pick: fn(&Latencies) -> f64| latencies.iter().map(pick);
    let p99 = median(of(|l| l.p99_ms).collect());
    report.figure('g', format!("{steady}: from the last refund to the end"), median(tails), "ms");
    report.figure('g', format!("{calm}: 99 of 100 within"), p99, "ms");
    let max = of(|l| l.max_ms).fold(0.0, f64::max);
    report.figure('g', format!("{calm}: all within"), max, "ms");
    report.figure('g', "backlog of webhooks", to_f64(backlog), "");
    report.figure(
        'g',
        "backlog: webhooks with nothing else to do",
        backlog_result.per_second,
        "/s",
    );
    report.figure('g', "backlog: resident memory after 1 s", backlog_result.early_mb, "MB");
    report.figure('g', "backlog: resident memory, first half", backlog_result.first_mb, "MB");
    report.figure('g', "backlog: resident memory, last half", backlog_result.last_mb, "MB");
    report.check('g', steady, median(rates), (Bound::AtLeast, 2_000.0), "/s");
    let p50 = median(of(|l| l.p50_ms).collect());
    report.check('g', format!("{calm}: half within"), p50, (Bound::Below, 50.0), "ms");
    let growth = backlog_result.last_mb / backlog_result.first_mb;
    let target = (Bound::Below, 1.2);
    report.check('g', "backlog: memory of the last half / first half", growth, target, "");
    let name = "refunds refused; webhooks lost, repeated, unordered, forged";
    report.check('g', name, to_f64(faults), (Bound::Exactly, 0.0), "");
    Ok(())
}

/// (h) and (i): PostgreSQL.
fn postgres_nodes(plan: &Plan, report: &mut Report) -> Result<()> {
    print_progress("(h) preparing a PostgreSQL server with payments");
    let postgres = PostgresDatabase::new(&plan.under, &plan.binary)?;
    let wrk = Wrk::new(&postgres.targets)?;
    let (mut calls, mut one) = (Vec::new(), Rounds::default());
    let (mut even, mut two) = (Rounds::default(), Rounds::default());
    for round in 1..=plan.rounds() {
        if plan.wants('h') {
            print_progress(&format!("(h) one call per refund, round {round}"));
            let copy = postgres.copy(&format!("calls_{round}"))?;
            let (clients, rate) = pg::best_rate(&copy, plan.duration())?;
            copy.remove()?;
            report.figure('h', format!("one call per refund, {clients} clients"), rate, "/s");
            calls.push(rate);
        }
        print_progress(&format!("(h) refunds over HTTP, one node, round {round}"));
        let copy = postgres.copy(&format!("one_{round}"))?;
        pg::nodes([&copy], true, &wrk, &mut one, plan.duration())?;
        copy.remove()?;
        if plan.wants('h') {
            print_progress(&format!(
                "(h) refunds over HTTP, one and two nodes, no payment hot, round {round}"
            ));
            let copy = postgres.copy(&format!("even_{round}"))?;
            pg::nodes([&copy], false, &wrk, &mut even, plan.duration())?;
            copy.remove()?;
            let copy = postgres.copy(&format!("two_{round}"))?;
            pg::nodes([&copy, &copy.join()?], false, &wrk, &mut two, plan.duration())?;
            copy.verify().context("the books after (h)")?;
            copy.remove()?;
        }
    }
    http_figures(report, 'h', "refunds on PostgreSQL, one node", &one);
    if plan.wants('h') {
        http_figures(report, 'h', "refunds on PostgreSQL, one node, none hot", &even);
        http_figures(report, 'h', "refunds on PostgreSQL, two nodes, none hot", &two);
        let errors = to_f64(one.errors() + even.errors() + two.errors());
        report.check('h', "refunds that failed", errors, (Bound::Exactly, 0.0), "");
        let ratio = one.rate() / median(calls);
        report.check('h', "one node / one call per refund", ratio, (Bound::AtLeast, 2.5), "");
        let ratio = two.rate() / even.rate();
        report.check('h', "two nodes / one node, none hot", ratio, (Bound::AtLeast, 1.0), "");
    }
    if plan.wants('i') {
        full_postgres(plan, &postgres, &wrk, &one, report)?;
    }
    Ok(())
}

/// (i): a PostgreSQL database with millions of refunds.
fn full_postgres(
    plan: &Plan,
    postgres: &PostgresDatabase,
    wrk: &Wrk,
    empty: &Rounds,
    report: &mut Report,
) -> Result<()> {
    let stored = if plan.quick { 200_000 } else { 10_000_000 };
    print_progress(&format!("(i) storing {stored} refunds in PostgreSQL"));
    let stopwatch = Stopwatch::start();
    let full = postgres.copy("filled")?;
    full.fill(stored)?;
    report.figure('i', "time to prepare the full database", stopwatch.elapsed().as_secs_f64(), "s");
    report.figure('i', "full database", to_f64(full.bytes()?) / 1e9, "GB");
    let mut rounds = Rounds::default();
    let mut lists = [Rounds::default(), Rounds::default()];
    for round in 1..=plan.rounds() {
        print_progress(&format!("(i) lists and refunds on the full database, round {round}"));
        pg::lists(&full, wrk, &mut lists, plan.duration())?;
        pg::nodes([&full], true, wrk, &mut rounds, plan.duration())?;
    }
    http_figures(report, 'i', "refunds, full database", &rounds);
    let mut errors = rounds.errors();
    for (list, name) in lists.iter().zip(["newest refunds of the account", "refunds of a payment"])
    {
        http_figures(report, 'i', name, list);
        errors += list.errors();
        let (name, p99) = (format!("{name}: 99 of 100 lists"), list.latencies().p99_ms);
        report.check('i', name, p99, (Bound::Below, 10.0), "ms");
    }
    report.check('i', "requests that failed", to_f64(errors), (Bound::Exactly, 0.0), "");
    let ratio = rounds.rate() / empty.rate();
    let name = "full / empty database, refunds, one node";
    report.check('i', name, ratio, (Bound::AtLeast, 0.7), "");
    Ok(())
}

fn http_figures(report: &mut Report, point: char, name: &str, rounds: &Rounds) {
    let latencies = rounds.latencies();
    report.figure(point, name, rounds.rate(), "/s");
    report.figure(point, format!("{name}: half within"), latencies.p50_ms, "ms");
    report.figure(point, format!("{name}: 99 of 100 within"), latencies.p99_ms, "ms");
    report.figure(point, format!("{name}: all within"), latencies.max_ms, "ms");
}

fn comparison_figures(report: &mut Report, point: char, name: &str, comparison: &Comparison) {
    let committer = format!("committer, {CLIENTS} tasks, {name}");
    report.figure(point, committer.as_str(), comparison.committer_rate(), "/s");
    let of = |pick: fn(&crate::load::LoadResult) -> f64| comparison.committer.iter().map(pick);
    let p99 = median(of(|round| round.latencies.p99_ms).collect());
    report.figure(point, format!("{committer}: 99 of 100 within"), p99, "ms");
    let max = of(|round| round.latencies.max_ms).fold(0.0, f64::max);
    report.figure(point, format!("{committer}: all within"), max, "ms");
    let batch = median(of(|round| to_f64(round.batch)).collect());
    report.figure(point, format!("{committer}: refunds per batch"), batch, "");
    let wal = of(|round| to_f64(round.wal_bytes)).fold(0.0, f64::max);
    report.figure(point, format!("{committer}: log at its largest"), wal / 1e6, "MB");
    report.figure(point, format!("SQLite alone, {name}"), comparison.sqlite_only_rate(), "/s");
}

fn machine(used_by_others: f64) -> Machine {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let model = read("/proc/cpuinfo")
        .lines()
        .find_map(|line| {
            line.strip_prefix("model name")?.split(':').nth(1).map(str::trim).map(String::from)
        })
        .unwrap_or_else(|| std::env::consts::ARCH.to_owned());
    Machine {
        processors: std::thread::available_parallelism().map_or(0, usize::from),
        model,
        kernel: format!("Linux {}", read("/proc/sys/kernel/osrelease").trim()),
        used_by_others,
    }
}

fn print_progress(what: &str) {
    eprintln!("{what}");
}

/// Default folder for the databases: beside the built binary, which is on a disk. The system's
/// temporary folder may be in memory.
pub fn beside(binary: &Path) -> PathBuf {
    binary.parent().unwrap_or(Path::new(".")).to_owned()
}
