-- Which paths wrk asks for: `wrk -s paths.lua URL -- MODE PREFIX FIRST COUNT START SEED`.
-- A SKU is a G and a number from FIRST on: all are of one length, and the samples make each of them up.

local zipf_exponent = 1.1

local function numbers_in_turn(first, count, start)
  local offset = start - 1
  return function()
    offset = offset + 1
    if offset == count then offset = 0 end
    return first + offset
  end
end

local function uniform_numbers(first, count)
  local random, floor = math.random, math.floor
  return function() return first + floor(random() * count) end
end

local function zipf_numbers(first, count)
  local random, floor = math.random, math.floor
  local up_to, sum = {}, 0
  for rank = 1, count do
    sum = sum + rank ^ -zipf_exponent
    up_to[rank] = sum
  end
  return function()
    local drawn, low, high = random() * sum, 1, count
    while low < high do
      local middle = floor((low + high) / 2)
      if up_to[middle] < drawn then low = middle + 1 else high = middle end
    end
    return first + low - 1
  end
end

local modes = { turn = numbers_in_turn, uniform = uniform_numbers, zipf = zipf_numbers }

function init(args)
  local mode, prefix, first, count = args[1], args[2], tonumber(args[3]), tonumber(args[4])
  local start, seed = tonumber(args[5]), tonumber(args[6])
  math.randomseed(seed)
  local head = "GET " .. prefix .. "G"
  local tail = " HTTP/1.1\r\nHost: " .. wrk.headers["Host"] .. "\r\n\r\n"
  if mode == "one" then
    local whole = head .. first .. tail
    request = function() return whole end
    return
  end
  local next_number = modes[mode](first, count, start)
  request = function() return head .. next_number() .. tail end
end

function done(summary, latency, _)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.timeout
  io.write(string.format(
    '{"pages": %d, "seconds": %f, "failed": %d, "refused": %d, "p50_ms": %f, "p99_ms": %f}\n',
    summary.requests, summary.duration / 1e6, failed, errors.status,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3
  ))
end
