//! The whole run, point by point.

use crate::ground::{self, Ground};
use crate::inprocess::{CLIENTS, Duel};
use crate::measure::{Latencies, Stopwatch, median, pause, real};
use crate::overhttp::{self, Rounds, aim, serve_bare};
use crate::pg::{self, Shared};
use crate::process::Ticks;
use crate::report::{Bound, Machine, Report};
use crate::webhooks;
use crate::wrk::Wrk;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What to measure, and how.
pub struct Plan {
    /// The server's binary.
    pub binary: PathBuf,
    /// Where databases go: the disk that is measured.
    pub under: PathBuf,
    /// The points, `a` to `i`.
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

/// What ratios are made of.
#[derive(Default)]
struct Loads {
    bare_64: Rounds,
    bare_256: Rounds,
    real_64: Rounds,
    real_256: Rounds,
    full_64: Rounds,
    full_256: Rounds,
    empty: Duel,
    full: Duel,
}

/// Measures everything that the plan wants.
pub fn run(plan: &Plan) -> Result<Report> {
    let (before, stopwatch) = (Ticks::now()?, Stopwatch::start());
    let mut report = Report { quick: plan.quick, ..Report::default() };
    let mut loads = Loads::default();
    say("preparing a database with payments");
    let ground = Ground::new(&plan.under, &plan.binary)?;
    let wrk = Wrk::new(&ground.targets)?;
    if plan.wants('f') {
        idle(plan, &mut report)?;
    }
    if plan.wants('a') || plan.wants('b') {
        bare_and_real(plan, &ground, &wrk, &mut loads, &mut report)?;
    }
    if plan.wants('c') {
        whole_lives(plan, &ground, &wrk, &loads, &mut report)?;
    }
    if plan.wants('d') {
        for round in 1..=plan.rounds() {
            say(&format!("(d) the committer and the raw loop, round {round}"));
            loads.empty.round_on_copies(&ground, &plan.under, plan.duration())?;
        }
        duel_figures(&mut report, 'd', "empty store", &loads.empty);
        let ratio = loads.empty.ratio();
        let target = (Bound::AtLeast, 0.8);
        report.check('d', "committer / raw loop, in process", ratio, target, "");
    }
    if plan.wants('e') {
        full_store(plan, &ground, &wrk, &mut loads, &mut report)?;
    }
    if plan.wants('g') {
        webhook_speed(plan, &ground, &mut report)?;
    }
    drop(ground);
    if plan.wants('h') || plan.wants('i') {
        many_nodes(plan, &mut report)?;
    }
    let used = Ticks::now()?.others_since(before, stopwatch.elapsed());
    report.machine = machine(used);
    Ok(report)
}

/// (f), the part that needs no load.
fn idle(plan: &Plan, report: &mut Report) -> Result<()> {
    let starts = if plan.quick { 3 } else { 9 };
    say("(f) starting on an empty folder");
    let (mut first, mut again, mut resident) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..starts {
        let folder = tempfile::Builder::new().prefix("refundry-bench-").tempdir_in(&plan.under)?;
        let server = ground::serve(&plan.binary, folder.path(), true, None)?;
        first.push(server.first_answer.as_secs_f64() * 1000.0);
        pause(Duration::from_millis(300));
        resident.push(server.memory_mb()?.0);
        server.stop()?;
        let server = ground::serve(&plan.binary, folder.path(), true, None)?;
        again.push(server.first_answer.as_secs_f64() * 1000.0);
        server.stop()?;
    }
    let size = std::fs::metadata(&plan.binary).context("the server's binary")?.len();
    report.figure('f', "binary", real(size) / 1e6, "MB");
    report.figure('f', "start to first answer, existing database", median(again), "ms");
    let target = (Bound::Below, 300.0);
    report.check('f', "start to first answer, empty database", median(first), target, "ms");
    report.check('f', "resident memory, idle", median(resident), (Bound::Below, 40.0), "MB");
    Ok(())
}

/// (a) and (b), in turns, so that both see the same machine.
fn bare_and_real(
    plan: &Plan,
    ground: &Ground,
    wrk: &Wrk,
    loads: &mut Loads,
    report: &mut Report,
) -> Result<()> {
    let mut peaks = Vec::new();
    for round in 1..=plan.rounds() {
        if plan.wants('a') {
            say(&format!("(a) bare HTTP, round {round}"));
            let server = serve_bare(wrk)?;
            let address = server.address.to_string();
            for (rounds, connections) in [(&mut loads.bare_64, 64), (&mut loads.bare_256, 256)] {
                rounds.round(wrk, &aim(&address, "none", connections, plan.duration()))?;
            }
        }
        if plan.wants('b') {
            say(&format!("(b) refunds over HTTP, round {round}"));
            let rounds = [(&mut loads.real_64, 64), (&mut loads.real_256, 256)];
            for (rounds, connections) in rounds {
                let copy = ground.copy(&plan.under)?;
                peaks.push(refunds(&copy, wrk, rounds, connections, plan.duration())?);
            }
        }
    }
    if plan.wants('a') {
        http_figures(report, 'a', "bare HTTP, 64 connections", &loads.bare_64);
        http_figures(report, 'a', "bare HTTP, 256 connections", &loads.bare_256);
        let errors = real(loads.bare_64.errors() + loads.bare_256.errors());
        report.check('a', "requests that failed", errors, (Bound::Exactly, 0.0), "");
    }
    if plan.wants('b') {
        http_figures(report, 'b', "refunds, 64 connections", &loads.real_64);
        http_figures(report, 'b', "refunds, 256 connections", &loads.real_256);
        report.figure('f', "resident memory under load, at its highest", median(peaks), "MB");
        let p99 = loads.real_64.latencies().p99_ms;
        report.check('b', "99 of 100 refunds, 64 connections", p99, (Bound::Below, 50.0), "ms");
        let errors = real(loads.real_64.errors() + loads.real_256.errors());
        report.check('b', "refunds that failed", errors, (Bound::Exactly, 0.0), "");
    }
    if plan.wants('a') && plan.wants('b') {
        let ratio = loads.real_256.rate() / loads.bare_256.rate();
        let target = (Bound::AtLeast, 0.25);
        report.check('b', "refunds / bare HTTP, 256 connections", ratio, target, "");
    }
    Ok(())
}

/// One round of refunds over HTTP, held queued. The server's memory at its highest, MB.
fn refunds(
    ground: &Ground,
    wrk: &Wrk,
    rounds: &mut Rounds,
    connections: u32,
    duration: Duration,
) -> Result<f64> {
    let server = ground.serve(false)?;
    let address = server.address.to_string();
    rounds.round(wrk, &aim(&address, ground.bearer(), connections, duration))?;
    let (_, peak) = server.memory_mb()?;
    server.stop()?;
    Ok(peak)
}

/// (c).
fn whole_lives(
    plan: &Plan,
    ground: &Ground,
    wrk: &Wrk,
    loads: &Loads,
    report: &mut Report,
) -> Result<()> {
    let (mut rates, mut tails, mut errors) = (Vec::new(), Vec::new(), 0);
    for round in 1..=plan.rounds() {
        say(&format!("(c) whole lives, round {round}"));
        let lives = overhttp::live(&ground.copy(&plan.under)?, wrk, plan.duration())?;
        rates.push(lives.rate());
        tails.push(lives.tail_seconds);
        errors += lives.errors;
    }
    let rate = median(rates);
    report.figure('c', "whole lives, 64 connections", rate, "/s");
    report.figure('c', "from the last request to the last success", median(tails), "s");
    report.check('c', "refunds that failed", real(errors), (Bound::Exactly, 0.0), "");
    if !loads.real_64.is_empty() {
        let ratio = rate / loads.real_64.rate();
        let target = (Bound::AtLeast, 0.3);
        report.check('c', "whole lives / refunds, 64 connections", ratio, target, "");
    }
    Ok(())
}

/// (e).
fn full_store(
    plan: &Plan,
    ground: &Ground,
    wrk: &Wrk,
    loads: &mut Loads,
    report: &mut Report,
) -> Result<()> {
    let stored = plan.stored();
    say(&format!("(e) storing {stored} refunds"));
    let stopwatch = Stopwatch::start();
    let full = ground.copy(&plan.under)?;
    full.fill(stored)?;
    report.figure('e', "time to prepare the full store", stopwatch.elapsed().as_secs_f64(), "s");
    let bytes = std::fs::metadata(full.database())?.len();
    report.figure('e', "full store", real(bytes) / 1e6, "MB");
    let mut peaks = Vec::new();
    for round in 1..=plan.rounds() {
        if plan.wants('b') {
            say(&format!("(e) refunds over HTTP, full store, round {round}"));
            for (rounds, connections) in [(&mut loads.full_64, 64), (&mut loads.full_256, 256)] {
                peaks.push(refunds(&full, wrk, rounds, connections, plan.duration())?);
            }
        }
        if plan.wants('d') {
            say(&format!("(e) the committer and the raw loop, full store, round {round}"));
            loads.full.round(&full, &full, plan.duration())?;
        }
    }
    if plan.wants('b') {
        http_figures(report, 'e', "refunds, full store, 64 connections", &loads.full_64);
        http_figures(report, 'e', "refunds, full store, 256 connections", &loads.full_256);
        report.figure('f', "resident memory under load, full store", median(peaks), "MB");
        let errors = real(loads.full_64.errors() + loads.full_256.errors());
        report.check('e', "refunds that failed", errors, (Bound::Exactly, 0.0), "");
        let ratio = loads.full_256.rate() / loads.real_256.rate();
        let name = "full / empty store, refunds, 256 connections";
        report.check('e', name, ratio, (Bound::AtLeast, 0.7), "");
    }
    if plan.wants('d') {
        duel_figures(report, 'e', "full store", &loads.full);
        let ratio = loads.full.committer_rate() / loads.empty.committer_rate();
        let name = "full / empty store, committer in process";
        report.check('e', name, ratio, (Bound::AtLeast, 0.7), "");
    }
    full.verify().context("the books after (e)")?;
    Ok(())
}

/// (g).
fn webhook_speed(plan: &Plan, ground: &Ground, report: &mut Report) -> Result<()> {
    let mut faults = 0;
    let (mut rates, mut tails) = (Vec::new(), Vec::new());
    for round in 1..=plan.rounds() {
        say(&format!("(g) webhooks of {} refunds per second, round {round}", webhooks::STEADY));
        let flow = webhooks::flow(&ground.copy(&plan.under)?, &webhooks::STEADY, plan.duration())?;
        rates.push(flow.per_second);
        tails.push(flow.tail_ms);
        faults += flow.faults;
    }
    let mut latencies = Vec::new();
    for round in 1..=plan.rounds() {
        say(&format!("(g) webhooks of {} refunds per second, round {round}", webhooks::CALM));
        let flow = webhooks::flow(&ground.copy(&plan.under)?, &webhooks::CALM, plan.duration())?;
        latencies.push(flow.latencies);
        faults += flow.faults;
    }
    let backlog = if plan.quick { 10_000 } else { 100_000 };
    say(&format!("(g) a backlog of {backlog} webhooks"));
    let drain = webhooks::drain(&ground.copy(&plan.under)?, backlog)?;
    faults += drain.faults;

    let steady = format!("webhooks, {} refunds/s", webhooks::STEADY);
    let calm = format!("create to webhook, {} refunds/s", webhooks::CALM);
    let of = |pick: fn(&Latencies) -> f64| latencies.iter().map(pick);
    let p99 = median(of(|l| l.p99_ms).collect());
    report.figure('g', format!("{steady}: from the last refund to the end"), median(tails), "ms");
    report.figure('g', format!("{calm}: 99 of 100 within"), p99, "ms");
    let max = of(|l| l.max_ms).fold(0.0, f64::max);
    report.figure('g', format!("{calm}: all within"), max, "ms");
    report.figure('g', "backlog of webhooks", real(backlog), "");
    report.figure('g', "backlog: webhooks with nothing else to do", drain.per_second, "/s");
    report.figure('g', "backlog: resident memory after 1 s", drain.early_mb, "MB");
    report.figure('g', "backlog: resident memory, first half", drain.first_mb, "MB");
    report.figure('g', "backlog: resident memory, last half", drain.last_mb, "MB");
    report.check('g', steady, median(rates), (Bound::AtLeast, 2_000.0), "/s");
    let p50 = median(of(|l| l.p50_ms).collect());
    report.check('g', format!("{calm}: half within"), p50, (Bound::Below, 50.0), "ms");
    let growth = drain.last_mb / drain.first_mb;
    let target = (Bound::Below, 1.2);
    report.check('g', "backlog: memory of the last half / first half", growth, target, "");
    let name = "refunds refused; webhooks lost, repeated, unordered, forged";
    report.check('g', name, real(faults), (Bound::Exactly, 0.0), "");
    Ok(())
}

/// (h) and (i).
fn many_nodes(plan: &Plan, report: &mut Report) -> Result<()> {
    say("(h) preparing a PostgreSQL server with payments");
    let shared = Shared::new(&plan.under, &plan.binary)?;
    let wrk = Wrk::new(&shared.targets)?;
    let (mut calls, mut one) = (Vec::new(), Rounds::default());
    let (mut even, mut two) = (Rounds::default(), Rounds::default());
    for round in 1..=plan.rounds() {
        if plan.wants('h') {
            say(&format!("(h) one call per refund, round {round}"));
            let copy = shared.copy(&format!("calls_{round}"))?;
            let (clients, rate) = pg::best_rate(&copy, plan.duration())?;
            copy.remove()?;
            report.figure('h', format!("one call per refund, {clients} clients"), rate, "/s");
            calls.push(rate);
        }
        say(&format!("(h) refunds over HTTP, one node, round {round}"));
        let copy = shared.copy(&format!("one_{round}"))?;
        pg::nodes([&copy], true, &wrk, &mut one, plan.duration())?;
        copy.remove()?;
        if plan.wants('h') {
            say(&format!(
                "(h) refunds over HTTP, one and two nodes, no payment hot, round {round}"
            ));
            let copy = shared.copy(&format!("even_{round}"))?;
            pg::nodes([&copy], false, &wrk, &mut even, plan.duration())?;
            copy.remove()?;
            let copy = shared.copy(&format!("two_{round}"))?;
            pg::nodes([&copy, &copy.join()?], false, &wrk, &mut two, plan.duration())?;
            copy.verify().context("the books after (h)")?;
            copy.remove()?;
        }
    }
    http_figures(report, 'h', "refunds on PostgreSQL, one node", &one);
    if plan.wants('h') {
        http_figures(report, 'h', "refunds on PostgreSQL, one node, none hot", &even);
        http_figures(report, 'h', "refunds on PostgreSQL, two nodes, none hot", &two);
        let errors = real(one.errors() + even.errors() + two.errors());
        report.check('h', "refunds that failed", errors, (Bound::Exactly, 0.0), "");
        let ratio = one.rate() / median(calls);
        report.check('h', "one node / one call per refund", ratio, (Bound::AtLeast, 2.5), "");
        let ratio = two.rate() / even.rate();
        report.check('h', "two nodes / one node, none hot", ratio, (Bound::AtLeast, 1.0), "");
    }
    if plan.wants('i') {
        millions(plan, &shared, &wrk, &one, report)?;
    }
    Ok(())
}

/// (i).
fn millions(
    plan: &Plan,
    shared: &Shared,
    wrk: &Wrk,
    empty: &Rounds,
    report: &mut Report,
) -> Result<()> {
    let stored = if plan.quick { 200_000 } else { 10_000_000 };
    say(&format!("(i) storing {stored} refunds in PostgreSQL"));
    let stopwatch = Stopwatch::start();
    let full = shared.copy("filled")?;
    full.fill(stored)?;
    report.figure('i', "time to prepare the full database", stopwatch.elapsed().as_secs_f64(), "s");
    report.figure('i', "full database", real(full.bytes()?) / 1e9, "GB");
    let mut rounds = Rounds::default();
    let mut lists = [Rounds::default(), Rounds::default()];
    for round in 1..=plan.rounds() {
        say(&format!("(i) lists and refunds on the full database, round {round}"));
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
    report.check('i', "requests that failed", real(errors), (Bound::Exactly, 0.0), "");
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

fn duel_figures(report: &mut Report, point: char, name: &str, duel: &Duel) {
    let committer = format!("committer, {CLIENTS} tasks, {name}");
    report.figure(point, committer.as_str(), duel.committer_rate(), "/s");
    let of = |pick: fn(&crate::load::Achieved) -> f64| duel.committer.iter().map(pick);
    let p99 = median(of(|round| round.latencies.p99_ms).collect());
    report.figure(point, format!("{committer}: 99 of 100 within"), p99, "ms");
    let max = of(|round| round.latencies.max_ms).fold(0.0, f64::max);
    report.figure(point, format!("{committer}: all within"), max, "ms");
    let batch = median(of(|round| real(round.batch)).collect());
    report.figure(point, format!("{committer}: refunds per batch"), batch, "");
    let wal = of(|round| real(round.wal_bytes)).fold(0.0, f64::max);
    report.figure(point, format!("{committer}: log at its largest"), wal / 1e6, "MB");
    report.figure(point, format!("raw loop, {name}"), duel.raw_rate(), "/s");
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

fn say(what: &str) {
    eprintln!("{what}");
}

/// Where databases go when nothing else is said: beside what was built, which is on a disk, while
/// the system's folder for temporary files may be in memory.
pub fn beside(binary: &Path) -> PathBuf {
    binary.parent().unwrap_or(Path::new(".")).to_owned()
}
