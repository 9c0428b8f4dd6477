"""What `bff demo` says once it runs."""

from pathlib import Path


def text(
    public: str,
    admin: str,
    sources: dict[str, str],
    delays_ms: tuple[int, int, int],
    *,
    sku: str,
    sample: bool,
    views: Path,
    token: str | None,
) -> str:
    """Return the start screen.

    sku: of a product that there is; sample: whether the built-in catalogue is served; views: where they are logged;
    token: for writing, made for it.
    """
    page = f"{public}/api/v1/products/{sku}"
    faults = f"{sources['price']}/_faults"
    running = "\n".join(
        f"  {name:<6} {url}/{name}/{{sku}}  answers after {delay} ms"
        for (name, url), delay in zip(sources.items(), delays_ms, strict=True)
    )
    products = (
        "1001, 1002, TEA-0102, BOO-8001.hc … (34 in all), and G0, G1, G2 … without end"
        if sample
        else "those of your catalogue"
    )
    write = (
        f"""
Write  curl -i -X PUT {page}/stock -H 'Authorization: Bearer {token}' \\
            -H 'Content-Type: application/json' -d '{{"quantity": 7}}'
Forget curl -i {public}/api/v1/events/product-changed -H 'Authorization: Bearer {token}' \\
            -H 'Content-Type: application/json' -d '{{"sku_id": "{sku}"}}'
Change curl -i {public}/api/v1/changes -H 'Authorization: Bearer {token}' \\
            -H "Idempotency-Key: change-$(date +%s)" -H 'Content-Type: application/json' \\
            -d '{{"sku_id": "{sku}", "price": {{"price": 7499.00}}, "stock": {{"quantity": 9}}}}'
Book   curl -i {page}/reservations -H 'Authorization: Bearer {token}' \\
            -H "Idempotency-Key: book-$(date +%s)" -H 'Content-Type: application/json' -d '{{"quantity": 1}}'"""
        if token
        else ""
    )
    return f"""
The product-detail BFF, in front of three sample services:

{running}

Open   {public}/docs
Ask    curl -i {page}      (again: from the cache)
       curl -i {public}/api/v1/products/agg/{sku}  (the view is logged, see {views})
Break  curl -X PUT {faults} -d '{{"hang": true}}'     (or delay_ms, error_rate, garbage, lose_answers)
Mend   curl -X PUT {faults} -d '{{}}'{write}
Watch  {admin}/sources
       {admin}/durable
       {admin}/metrics

Products: {products}. Ctrl-C stops everything.
"""
