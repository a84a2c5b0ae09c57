"""The parts of ``report.html``: what each section says and draws, ready for its template."""
