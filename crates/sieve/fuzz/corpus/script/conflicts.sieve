require ["vnd.dovecot.pipe","copy","reject","vacation"];
pipe :copy "p"; if exists "x" { reject "n"; vacation "v"; } pipe "p";
##PSEUDO script start
#{"a":1}
