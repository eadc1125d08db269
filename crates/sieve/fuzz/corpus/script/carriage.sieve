# xredirect "e@x.example";
keep;