"""The text of usage events: a thin one of about 450 bytes and a fat one of about 1.9 KB."""

# As the proxy wrote them before v7.1, without headers and without parts that add up.
THIN = (
    b'{"timestamp":"%(at)s","latency_ms":%(latency)d,"source":"%(source)s",'
    b'"auth_index":"%(auth_index)s","tokens":{"input_tokens":%(given)d,'
    b'"output_tokens":%(output)d,"reasoning_tokens":%(reasoning)d,"cached_tokens":%(cached)d,'
    b'"total_tokens":%(total)d},"failed":%(failed)s,%(fail)s"provider":"%(provider)s",'
    b'"model":"%(model)s","alias":"%(model)s","endpoint":"POST /v1/responses","auth_type":"oauth",'
    b'"api_key":"%(key)s","request_id":"%(request)08x"}'
)
# As v7.2.140 writes them.
FAT = (
    b'{"timestamp":"%(at)s","latency_ms":%(latency)d,"ttft_ms":%(ttft)d,"source":"%(source)s",'
    b'"auth_index":"%(auth_index)s","access_token_sha256":"%(digest)s",'
    b'"client_ip":"127.0.0.1","x_forwarded_for":"","user_agent":"%(agent)s",'
    b'"tokens":{"input_tokens":%(given)d,"output_tokens":%(output)d,'
    b'"reasoning_tokens":%(reasoning)d,"cached_tokens":%(cached)d,"cache_read_tokens":%(cached)d,'
    b'"cache_read_tokens_present":true,"cache_creation_tokens":0,"total_tokens":%(total)d},'
    b'"failed":%(failed)s,"generate":true,%(fail)s"response_headers":{%(headers)s},'
    b'"accounting_version":2,"token_breakdown":{"schema_version":2,"quality":"complete",'
    b'"total_tokens":%(total)d,"input":{"total_tokens":%(input)d,"uncached_tokens":%(uncached)d,'
    b'"cache_read_tokens":%(cached)d,"cache_write_tokens":0},"output":{"total_tokens":%(output)d,'
    b'"non_reasoning_tokens":%(visible)d,"reasoning_tokens":%(reasoning)d},'
    b'"unclassified_tokens":0},"provider":"%(provider)s","executor_type":"%(executor)s",'
    b'"model":"%(model)s","alias":"%(model)s","endpoint":"POST /v1/responses",'
    b'"auth_type":"oauth","api_key":"%(key)s","request_id":"%(request)08x",'
    b'"reasoning_effort":"%(effort)s","service_tier":"auto","response_service_tier":"default"}'
)
CODEX_HEADERS = (
    b'"Cf-Ray":["%(request)016x-FRA"],"Content-Type":["text/event-stream; charset=utf-8"],'
    b'"Server":["cloudflare"],"X-Codex-Active-Limit":["premium"],'
    b'"X-Codex-Credits-Balance":[""],"X-Codex-Credits-Has-Credits":["False"],'
    b'"X-Codex-Credits-Unlimited":["False"],"X-Codex-Plan-Type":["plus"],'
    b'"X-Codex-Primary-Over-Secondary-Limit-Percent":["0"],'
    b'"X-Codex-Primary-Reset-After-Seconds":["%(five_hours_left)d"],'
    b'"X-Codex-Primary-Reset-At":["%(five_hours_end)d"],'
    b'"X-Codex-Primary-Used-Percent":["%(used)d"],"X-Codex-Primary-Window-Minutes":["300"],'
    b'"X-Codex-Secondary-Reset-After-Seconds":["%(week_left)d"],'
    b'"X-Codex-Secondary-Reset-At":["%(week_end)d"],'
    b'"X-Codex-Secondary-Used-Percent":["%(used)d"],"X-Codex-Secondary-Window-Minutes":["10080"],'
    b'"X-Oai-Request-Id":["req_%(request)016x"]'
)
CLAUDE_HEADERS = (
    b'"Anthropic-Ratelimit-Unified-5h-Reset":["%(five_hours_end)d"],'
    b'"Anthropic-Ratelimit-Unified-5h-Status":["allowed"],'
    b'"Anthropic-Ratelimit-Unified-5h-Utilization":["0.%(used)02d"],'
    b'"Anthropic-Ratelimit-Unified-7d-Reset":["%(week_end)d"],'
    b'"Anthropic-Ratelimit-Unified-7d-Status":["allowed"],'
    b'"Anthropic-Ratelimit-Unified-7d-Utilization":["0.%(used)02d"],'
    b'"Anthropic-Ratelimit-Unified-Fallback-Percentage":["0.5"],'
    b'"Anthropic-Ratelimit-Unified-Overage-Status":["rejected"],'
    b'"Anthropic-Ratelimit-Unified-Representative-Claim":["five_hour"],'
    b'"Anthropic-Ratelimit-Unified-Reset":["%(five_hours_end)d"],'
    b'"Anthropic-Ratelimit-Unified-Status":["allowed"],'
    b'"Cf-Ray":["%(request)016x-FRA"],"Content-Type":["text/event-stream; charset=utf-8"],'
    b'"Request-Id":["req_%(request)016x"],"Server":["cloudflare"]'
)
OTHER_HEADERS = (
    b'"Cf-Ray":["%(request)016x-FRA"],"Content-Type":["text/event-stream; charset=utf-8"],'
    b'"Server":["cloudflare"],"Strict-Transport-Security":["max-age=31536000"],'
    b'"X-Content-Type-Options":["nosniff"],"X-Ratelimit-Limit-Requests":["500"],'
    b'"X-Ratelimit-Limit-Tokens":["4000000"],"X-Ratelimit-Remaining-Requests":["%(used)d"],'
    b'"X-Ratelimit-Remaining-Tokens":["%(week_left)d"],"X-Request-Id":["req_%(request)016x"],'
    b'"X-Zero-Data-Retention":["false"],"Vary":["accept-encoding"]'
)
FAILS = (
    b'"fail":{"status_code":429,"body":"{\\"error\\":{\\"type\\":\\"usage_limit_reached\\",'
    b'\\"message\\":\\"The usage limit has been reached\\"}}"},',
    b'"fail":{"status_code":500,"body":"{\\"error\\":{\\"type\\":\\"server_error\\",'
    b'\\"message\\":\\"The server had an error\\"}}"},',
    b'"fail":{"status_code":529,"body":"{\\"error\\":{\\"type\\":\\"overloaded_error\\",'
    b'\\"message\\":\\"Overloaded\\"}}"},',
)
NO_FAIL = b'"fail":{"status_code":200,"body":""},'
