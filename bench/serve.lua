-- SPDX-License-Identifier: MIT
-- Sends the bodies of a file, one per line, in turn, and prints what wrk has measured as one line of JSON.
local bodies, next_body = {}, 0

function init(arguments)
    for line in io.lines(arguments[1]) do
        bodies[#bodies + 1] = wrk.format("POST", nil, {["Content-Type"] = "application/json"}, line)
    end
end

function request()
    next_body = next_body % #bodies + 1
    return bodies[next_body]
end

function done(summary, latency, _)
    local errors = summary.errors
    io.write(string.format('{"requests": %d, "seconds": %f, "median": %f, "most": %f, "errors": %d}\n',
        summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
        errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
