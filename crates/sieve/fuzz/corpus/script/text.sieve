require "vacation"; vacation text: # c
a
..b
.
;