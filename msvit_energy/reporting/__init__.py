"""Tables, figures and the report page of saved profiles. No torch."""
