-- Sends the requests of a file one after the other, from the one with this number on, and then again.
function init(arguments)
  local file = assert(io.open(arguments[1], "rb"))
  local text = file:read("*a")
  file:close()
  all = {}
  for whole in text:gmatch(".-\r\n\r\n") do all[#all + 1] = whole end
  at = tonumber(arguments[2]) % #all
end

function request()
  at = at % #all + 1
  return all[at]
end
