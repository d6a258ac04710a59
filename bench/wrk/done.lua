-- Prints the result of wrk in one line of JSON.

function done(summary, latency, requests)
   local failed = summary.errors.connect + summary.errors.read + summary.errors.write
      + summary.errors.timeout
   io.write(string.format(
      '\nRESULT {"requests":%d,"micros":%d,"refused":%d,"failed":%d,"p50":%d,"p99":%d,"max":%d}\n',
      summary.requests, summary.duration, summary.errors.status, failed,
      latency:percentile(50), latency:percentile(99), latency.max))
end
