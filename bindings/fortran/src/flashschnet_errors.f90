!> Texts from and to C, and what a failing call does.
module flashschnet_errors
   use, intrinsic :: iso_c_binding, only: c_associated, c_char, c_f_pointer, c_int, c_null_char, c_ptr, c_size_t
   use, intrinsic :: iso_fortran_env, only: error_unit
   use flashschnet_c, only: fsn_invalid_argument, fsn_last_error, fsn_success, fsn_version
   implicit none
   private
   public :: c_text, check_count, check_shape, conclude, fortran_text, library_version, put, refuse

   interface
      function strlen(text) bind(c) result(length)
         import :: c_ptr, c_size_t
         type(c_ptr), value :: text
         integer(c_size_t) :: length
      end function
   end interface

contains

   !> A C string without trailing blanks, which Fortran adds and nobody means.
   function c_text(text)
      character(*), intent(in) :: text
      character(kind=c_char, len=:), allocatable :: c_text
      c_text = trim(text)//c_null_char
   end function

   !> A C string as Fortran has it; empty for null.
   function fortran_text(pointer) result(text)
      type(c_ptr), intent(in) :: pointer
      character(:), allocatable :: text
      character(kind=c_char), pointer :: characters(:)
      integer :: k
      if (.not. c_associated(pointer)) then
         text = ''
         return
      end if
      call c_f_pointer(pointer, characters, [strlen(pointer)])
      allocate (character(size(characters)) :: text)
      do k = 1, size(characters)
         text(k:k) = characters(k)
      end do
   end function

   !> The library's version, as "major.minor.patch".
   function library_version() result(version)
      character(:), allocatable :: version
      version = fortran_text(fsn_version())
   end function

   !> Ends a call: hands the status to the caller, or stops with the text if the caller does not ask for the status.
   !> `text` is allocated if an argument was refused before the library saw it; else it becomes the library's, if that
   !> failed. It is not the caller's optional `errmsg`, which gfortran loses on the way here.
   subroutine conclude(status, text, stat)
      integer(c_int), intent(in) :: status
      character(:), allocatable, intent(inout) :: text
      integer, intent(out), optional :: stat
      integer :: code
      code = status
      if (allocated(text)) then
         code = fsn_invalid_argument
      else if (status /= fsn_success) then
         text = fortran_text(fsn_last_error())
      end if
      if (present(stat)) then
         stat = code
      else if (code /= fsn_success) then
         write (error_unit, '(a)') text
         error stop 1
      end if
   end subroutine

   !> Refuses an argument that the library cannot be shown, in the form of its own texts. The first one counts.
   subroutine refuse(reason, text)
      character(*), intent(in) :: reason
      character(:), allocatable, intent(inout) :: text
      if (.not. allocated(text)) text = 'invalid argument: '//reason
   end subroutine

   !> Refuses a number of things that is negative.
   subroutine check_count(value, name, text)
      integer, intent(in) :: value
      character(*), intent(in) :: name
      character(:), allocatable, intent(inout) :: text
      character(40) :: number
      write (number, '(i0)') value
      if (value < 0) call refuse(name//' is '//trim(number)//', must not be negative', text)
   end subroutine

   !> Refuses an array that has not the shape it must have.
   subroutine check_shape(found, expected, name, text)
      integer, intent(in) :: found(:), expected(:)
      character(*), intent(in) :: name
      character(:), allocatable, intent(inout) :: text
      if (any(found /= expected)) &
         call refuse(name//' has shape '//shape_text(found)//', must be '//shape_text(expected), text)
   end subroutine

   !> The same for an array that the library reads or writes at `array`; where it fits, `place` is set to that.
   subroutine put(place, array, found, expected, name, text)
      type(c_ptr), intent(inout) :: place
      type(c_ptr), intent(in) :: array
      integer, intent(in) :: found(:), expected(:)
      character(*), intent(in) :: name
      character(:), allocatable, intent(inout) :: text
      call check_shape(found, expected, name, text)
      place = array
   end subroutine

   function shape_text(sizes) result(text)
      integer, intent(in) :: sizes(:)
      character(:), allocatable :: text
      character(200) :: line
      write (line, '("(", *(i0, :, ", "))') sizes
      text = trim(line)//')'
   end function
end module
