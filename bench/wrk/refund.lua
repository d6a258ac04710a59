-- wrk runs this script. It sends POSTs with a Bearer key, a new idempotency key each time and a
-- small JSON body that names a random payment. The axum-only server and Refundry get the same bytes
-- except for the path.
--
-- Arguments: path, host, bearer, name of the run, file with one payment id per line (the first
-- `hot` of them are hot), the number of hot payments, and one request in how many is for a hot
-- payment.

local threads = 0

function setup(thread)
   threads = threads + 1
   thread:set("number", threads)
end

function init(args)
   local path, host, bearer, run, file = args[1], args[2], args[3], args[4], args[5]
   hot, hot_one_in = tonumber(args[6]), tonumber(args[7])
   payments = {}
   for line in io.lines(file) do
      payments[#payments + 1] = line
   end
   before = '{"sourceType":"payment","sourceId":"'
   after = '","amount":1,"reason":"requested_by_customer"}'
   head = "POST " .. path .. " HTTP/1.1\r\nHost: " .. host
      .. "\r\nAuthorization: Bearer " .. bearer
      .. "\r\nContent-Type: application/json"
      .. "\r\nContent-Length: " .. (#before + #payments[1] + #after)
      .. "\r\nIdempotency-Key: " .. run .. "-" .. number .. "-"
   sent = 0
   math.randomseed(number * 7919 + os.time())
end

function request()
   sent = sent + 1
   local payment
   if math.random(hot_one_in) == 1 then
      payment = payments[math.random(hot)]
   else
      payment = payments[math.random(#payments)]
   end
   return head .. sent .. "\r\n\r\n" .. before .. payment .. after
end
