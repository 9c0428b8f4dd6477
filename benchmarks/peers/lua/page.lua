-- The page out of parts that were looked at: each is decoded, is of this SKU and has the fields that it needs.

local cjson = require "cjson.safe"

local names = { "info", "price", "stock" }
local needed = {
  info = { name = "string" },
  price = { price = "number" },
  stock = { quantity = "number", available = "boolean" },
}

local function reason_of(status)
  if status == 404 then
    return "not_found"
  end
  return status == 504 and "timeout" or "unavailable"
end

local function is_part(part, name, sku)
  if type(part) ~= "table" or part.sku_id ~= sku then
    return false
  end
  for field, kind in pairs(needed[name]) do
    if type(part[field]) ~= kind then
      return false
    end
  end
  return true
end

-- the part, or nil and the reason
local function read(answer, name, sku)
  if answer.status ~= 200 or answer.truncated then
    return nil, reason_of(answer.status)
  end
  local part = cjson.decode(answer.body)
  if is_part(part, name, sku) then
    return part
  end
  return nil, "garbled"
end

local function send(status, answer)
  local body = cjson.encode(answer)
  ngx.status = status
  ngx.header["Content-Length"] = #body
  ngx.print(body)
end

local sku = ngx.var.sku
local now = ngx.now()
local as_of = os.date("!%Y-%m-%dT%H:%M:%S", now) .. string.format(".%03dZ", now * 1000 % 1000)
local answers = { ngx.location.capture_multi { { "/ask/info/" .. sku }, { "/ask/price/" .. sku }, { "/ask/stock/" .. sku } } }

local page, sources, complete = {}, {}, true
for index, name in ipairs(names) do
  local part, reason = read(answers[index], name, sku)
  if not part and name == "info" then
    return send(({ not_found = 404, timeout = 504 })[reason] or 502, { error = "info: " .. reason })
  end
  complete = complete and part ~= nil
  page[name] = part or cjson.null
  sources[name] = { state = part and "ok" or "missing", as_of = part and as_of or cjson.null, reason = reason or cjson.null }
end
page.meta = { complete = complete, sources = sources }
send(200, page)
