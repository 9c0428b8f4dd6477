-- The parts of any SKU, from memory: one, or an array of those that are asked for.

local source = {}
local defined = {}

-- text: the part's JSON, in which $sku stands for the SKU; delay: seconds before each answer
function source.define(name, text, delay)
  local pieces = {}
  for piece in (text .. "$sku"):gmatch("(.-)%$sku") do
    pieces[#pieces + 1] = piece
  end
  defined[name] = { pieces = pieces, delay = delay }
end

local function answer(part, body)
  if part.delay > 0 then
    ngx.sleep(part.delay)
  end
  ngx.header["Content-Length"] = #body
  ngx.print(body)
end

function source.one(name)
  local part = defined[name]
  answer(part, table.concat(part.pieces, ngx.var.sku))
end

function source.many(name)
  local part = defined[name]
  local bodies = {}
  for sku in ngx.unescape_uri(ngx.var.arg_skus or ""):gmatch("[A-Za-z0-9._-]+") do
    bodies[#bodies + 1] = table.concat(part.pieces, sku)
  end
  answer(part, "[" .. table.concat(bodies, ",") .. "]")
end

return source
