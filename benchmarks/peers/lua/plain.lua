-- The page as the three bodies one after the other, whatever is in them.

local function source(answer, as_of)
  if answer.status == 200 then
    return '{"state":"ok","as_of":"' .. as_of .. '","reason":null}'
  end
  return '{"state":"missing","as_of":null,"reason":"' .. (answer.status == 504 and "timeout" or "unavailable") .. '"}'
end

local function part(answer)
  return answer.status == 200 and answer.body or "null"
end

local sku = ngx.var.sku
local now = ngx.now()
local as_of = os.date("!%Y-%m-%dT%H:%M:%S", now) .. string.format(".%03dZ", now * 1000 % 1000)
local info, price, stock =
  ngx.location.capture_multi { { "/ask/info/" .. sku }, { "/ask/price/" .. sku }, { "/ask/stock/" .. sku } }
if info.status ~= 200 then
  return ngx.exit((info.status == 404 or info.status == 504) and info.status or 502)
end

local whole = price.status == 200 and stock.status == 200
local body = table.concat {
  '{"info":', info.body, ',"price":', part(price), ',"stock":', part(stock),
  ',"meta":{"complete":', tostring(whole), ',"sources":{"info":', source(info, as_of),
  ',"price":', source(price, as_of), ',"stock":', source(stock, as_of), "}}}",
}
ngx.header["Content-Length"] = #body
ngx.print(body)
