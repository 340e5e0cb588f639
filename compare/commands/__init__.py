"""The commands of `implicitbias`, one file each; `compare.command_line` names them and loads one when it is called."""
