-- wrk runs this script. It sends GETs of the newest refunds, either of the account or of a random
-- payment.
--
-- Arguments: host, bearer, file with one payment id per line (or a dash for the whole account).

local threads = 0

function setup(thread)
   threads = threads + 1
   thread:set("number", threads)
end

function init(args)
   local host, bearer, file = args[1], args[2], args[3]
   target = "GET /api/v1/refunds?limit=20"
   payments = { "" }
   if file ~= "-" then
      target = target .. "&sourceType=payment&sourceId="
      payments = {}
      for line in io.lines(file) do
         payments[#payments + 1] = line
      end
   end
   rest = " HTTP/1.1\r\nHost: " .. host .. "\r\nAuthorization: Bearer " .. bearer .. "\r\n\r\n"
   math.randomseed(number * 7919 + os.time())
end

function request()
   return target .. payments[math.random(#payments)] .. rest
end
